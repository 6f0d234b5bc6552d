// A row of lanes at work: parts side by side. Compiled once for each level; see levels.hpp.
//
// Arithmetic is lane by lane, comparisons give masks, and a number stands for a row of it.

inline constexpr std::size_t kParts = kLanes / WINDTUNNEL_WIDTH;

struct Mask {
    Truth part[kParts];
};

struct Row {
    Part part[kParts];

    WINDTUNNEL_INLINE Row() = default;
    WINDTUNNEL_INLINE Row(double number) {
        for (std::size_t p = 0; p < kParts; ++p) part[p] = spread(number);
    }
    // Part by part: a compiler keeps rows in registers when nothing treats them as a whole.
    WINDTUNNEL_INLINE explicit Row(const double* from) {
        for (std::size_t p = 0; p < kParts; ++p) part[p] = load_part(from + p * WINDTUNNEL_WIDTH);
    }
    WINDTUNNEL_INLINE explicit Row(const float* from) {
        for (std::size_t p = 0; p < kParts; ++p) part[p] = load_part(from + p * WINDTUNNEL_WIDTH);
    }
    WINDTUNNEL_INLINE explicit Row(const Lane& lane) : Row(lane.value) {}
    WINDTUNNEL_INLINE void store(double* to) const {
        for (std::size_t p = 0; p < kParts; ++p) store_part(part[p], to + p * WINDTUNNEL_WIDTH);
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
    WINDTUNNEL_EACH_PART(size, Row, magnitude(a.part[p]));
}

WINDTUNNEL_INLINE Row settled(const Row& a) {
    WINDTUNNEL_EACH_PART(same, Row, settled(a.part[p]));
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
    WINDTUNNEL_EACH_PART(mask, Mask, less(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator<=(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, at_most(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator>(const Row& a, const Row& b) {
    return b < a;
}
WINDTUNNEL_INLINE Mask operator>=(const Row& a, const Row& b) {
    return b <= a;
}
WINDTUNNEL_INLINE Mask operator==(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, equal(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator!=(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, unequal(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator&(const Mask& a, const Mask& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, both(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator|(const Mask& a, const Mask& b) {
    WINDTUNNEL_EACH_PART(mask, Mask, either(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Mask operator~(const Mask& a) {
    WINDTUNNEL_EACH_PART(mask, Mask, neither(a.part[p]));
}

// Where the mask holds `yes`, elsewhere `no`.
WINDTUNNEL_INLINE Row select(const Mask& mask, const Row& yes, const Row& no) {
    WINDTUNNEL_EACH_PART(chosen, Row, choose(mask.part[p], yes.part[p], no.part[p]));
}

// The larger and the smaller; `a` where one of them is NaN.
WINDTUNNEL_INLINE Row larger(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(chosen, Row, larger(a.part[p], b.part[p]));
}
WINDTUNNEL_INLINE Row smaller(const Row& a, const Row& b) {
    WINDTUNNEL_EACH_PART(chosen, Row, smaller(a.part[p], b.part[p]));
}

// Rounded towards zero, but for what is a whole number up to rounding. A double of 2^52 and more
// has no fraction; below, adding that much rounds to a whole number.
WINDTUNNEL_INLINE Row whole(const Row& a) {
    constexpr double kWhole = 4503599627370496.0;
    const Row size = magnitude(a);
    const Row near = (size + kWhole) - kWhole;
    const Row below = select(near - size > size * kWholeTolerance, near - 1.0, near);
    const Row result = select(size < kWhole, below, size);
    return select(a < 0.0, 0.0 - result, result);
}

// Masks as numbers, the first lane in the lowest bit.
WINDTUNNEL_INLINE Mask mask_of(std::uint32_t bits) {
    WINDTUNNEL_EACH_PART(mask, Mask, true_bits(bits >> (p * WINDTUNNEL_WIDTH)));
}
WINDTUNNEL_INLINE std::uint32_t bits_of(const Mask& mask) {
    std::uint32_t bits = 0;
    for (std::size_t p = 0; p < kParts; ++p)
        bits |= bits_of(mask.part[p]) << (p * WINDTUNNEL_WIDTH);
    return bits;
}
WINDTUNNEL_INLINE std::uint32_t bits_of_lanes(const std::uint8_t* bytes) {
    std::uint32_t bits = 0;
    for (std::size_t p = 0; p < kParts; ++p) {
        bits |= bits_of_bytes(bytes + p * WINDTUNNEL_WIDTH) << (p * WINDTUNNEL_WIDTH);
    }
    return bits;
}

WINDTUNNEL_INLINE bool any(const Mask& mask) {
    Truth all = mask.part[0];
    for (std::size_t p = 1; p < kParts; ++p) all = either(all, mask.part[p]);
    return holds(all);
}

#undef WINDTUNNEL_EACH_PART
