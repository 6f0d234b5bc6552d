// A row of lanes at work: vectors of WINDTUNNEL_WIDTH doubles. Compiled once for each level; see
// levels.hpp, which includes this file several times.
//
// Arithmetic is lane by lane, comparisons give masks, and a number stands for a row of it.

typedef double Part __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(double))));
typedef float NarrowPart __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(float))));
typedef std::int64_t BitsPart __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(double))));

inline constexpr std::size_t kParts = kLanes / WINDTUNNEL_WIDTH;

// All bits of a lane, or none.
struct Mask {
    BitsPart part[kParts];
};

struct Row {
    Part part[kParts];

    WINDTUNNEL_INLINE Row() = default;
    WINDTUNNEL_INLINE Row(double number) {
        for (std::size_t p = 0; p < kParts; ++p) part[p] = number - Part{};
    }
    // Part by part: a compiler keeps rows in registers when nothing treats them as a whole.
    WINDTUNNEL_INLINE explicit Row(const double* from) {
        for (std::size_t p = 0; p < kParts; ++p) {
            Part wide;
            std::memcpy(&wide, from + p * WINDTUNNEL_WIDTH, sizeof wide);
            part[p] = wide;
        }
    }
    WINDTUNNEL_INLINE explicit Row(const float* from) {
        for (std::size_t p = 0; p < kParts; ++p) {
            NarrowPart narrow;
            std::memcpy(&narrow, from + p * WINDTUNNEL_WIDTH, sizeof narrow);
            part[p] = __builtin_convertvector(narrow, Part);
        }
    }
    WINDTUNNEL_INLINE explicit Row(const Lane& lane) : Row(lane.value) {}
    WINDTUNNEL_INLINE void store(double* to) const {
        for (std::size_t p = 0; p < kParts; ++p) {
            const Part wide = part[p];
            std::memcpy(to + p * WINDTUNNEL_WIDTH, &wide, sizeof wide);
        }
    }
    WINDTUNNEL_INLINE void store(Lane& lane) const { store(lane.value); }
};

#define WINDTUNNEL_EACH_PART(Result, type, expression)                    \
    type Result;                                                          \
    for (std::size_t p = 0; p < kParts; ++p) Result.part[p] = expression; \
    return Result

WINDTUNNEL_INLINE Row operator+(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(sum, Row, a.part[p] + b.part[p]);
}
WINDTUNNEL_INLINE Row operator-(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(difference, Row, a.part[p] - b.part[p]);
}
WINDTUNNEL_INLINE Row operator*(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(product, Row, a.part[p] * b.part[p]);
}
WINDTUNNEL_INLINE Row operator/(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(quotient, Row, a.part[p] / b.part[p]);
}
WINDTUNNEL_INLINE Row& operator+=(Row& a, const Row& b) {
    return a = a + b;
}
WINDTUNNEL_INLINE Row& operator-=(Row& a, const Row& b) {
    return a = a - b;
}
WINDTUNNEL_INLINE Row magnitude(const Row& a) {
    WINDTUNNEL_EACH_PART(size, Row, (Part)((BitsPart)a.part[p] & INT64_MAX));
}

WINDTUNNEL_INLINE Row root(const Row& a) {
    Row result;
    for (std::size_t p = 0; p < kParts; ++p) {
        for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) {
            result.part[p][w] = __builtin_sqrt(a.part[p][w]);
        }
    }
    return result;
}

WINDTUNNEL_INLINE Mask operator<(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] < b.part[p]);
}
WINDTUNNEL_INLINE Mask operator<=(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] <= b.part[p]);
}
WINDTUNNEL_INLINE Mask operator>(const Row& a, const Row& b) {
    return b < a;
}
WINDTUNNEL_INLINE Mask operator>=(const Row& a, const Row& b) {
    return b <= a;
}
WINDTUNNEL_INLINE Mask operator==(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] == b.part[p]);
}
WINDTUNNEL_INLINE Mask operator!=(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] != b.part[p]);
}
WINDTUNNEL_INLINE Mask operator&(const Mask& a, const Mask& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] & b.part[p]);
}
WINDTUNNEL_INLINE Mask operator|(const Mask& a, const Mask& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, a.part[p] | b.part[p]);
}
WINDTUNNEL_INLINE Mask operator~(const Mask& a) {
    WINDTUNNEL_EACH_PART(mask, Mask, ~a.part[p]);
}

// Where the mask holds `yes`, elsewhere `no`.
WINDTUNNEL_INLINE Row select(const Mask& mask, const Row& yes, const Row& no) {
    WINDTUNNEL_EACH_PART(chosen, Row, mask.part[p] ? yes.part[p] : no.part[p]);
}

// Rounded towards zero. A double of 2^52 and more has no fraction; below, adding that much rounds
// to a whole number.
WINDTUNNEL_INLINE Row whole(const Row& a) {
    constexpr double kWhole = 4503599627370496.0;
    const Row size = magnitude(a);
    const Row near = (size + kWhole) - kWhole;
    const Row below = select(near > size, near - 1.0, near);
    const Row result = select(size < kWhole, below, size);
    return select(a < 0.0, 0.0 - result, result);
}

WINDTUNNEL_INLINE bool any(const Mask& mask) {
    BitsPart all = mask.part[0];
    for (std::size_t p = 1; p < kParts; ++p) all |= mask.part[p];
    std::int64_t found = 0;
    for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) found |= all[w];
    return found != 0;
}

#undef WINDTUNNEL_EACH_PART
