// A row of lanes at work: parts side by side. Compiled once for each level; see levels.hpp.
//
// Arithmetic is lane by lane, comparisons give masks, and a number stands for a row of it.

inline constexpr std::size_t kParts = kLanes / WINDTUNNEL_WIDTH;

#define WINDTUNNEL_EACH_PART(Result, type, expression)               \
    type Result;                                                     \
    for (std::size_t p = 0; p < N; ++p) Result.part[p] = expression; \
    return Result

template <std::size_t N>
struct RowOf;

template <std::size_t N>
struct MaskOf {
    Truth part[N];

    WINDTUNNEL_INLINE friend MaskOf operator&(const MaskOf& a, const MaskOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf, both(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend MaskOf operator|(const MaskOf& a, const MaskOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf, either(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend MaskOf operator~(const MaskOf& a) {
        WINDTUNNEL_EACH_PART(mask, MaskOf, neither(a.part[p]));
    }
    WINDTUNNEL_INLINE friend bool any(const MaskOf& mask) {
        Truth all = mask.part[0];
        for (std::size_t p = 1; p < N; ++p) all = either(all, mask.part[p]);
        return holds(all);
    }
    // As a number, the first lane in the lowest bit.
    WINDTUNNEL_INLINE friend std::uint32_t bits_of(const MaskOf& mask) {
        std::uint32_t bits = 0;
        for (std::size_t p = 0; p < N; ++p) bits |= bits_of(mask.part[p]) << (p * WINDTUNNEL_WIDTH);
        return bits;
    }
    // Where the mask holds `yes`, elsewhere `no`.
    WINDTUNNEL_INLINE friend RowOf<N> select(const MaskOf& mask, const RowOf<N>& yes,
                                             const RowOf<N>& no) {
        WINDTUNNEL_EACH_PART(chosen, RowOf<N>, choose(mask.part[p], yes.part[p], no.part[p]));
    }
};

// N parts of a row. Loops over parts, not over rows: a compiler keeps rows in registers when
// nothing treats them as a whole.
template <std::size_t N>
struct RowOf {
    Part part[N];

    WINDTUNNEL_INLINE RowOf() = default;
    WINDTUNNEL_INLINE RowOf(double number) {
        for (std::size_t p = 0; p < N; ++p) part[p] = spread(number);
    }
    WINDTUNNEL_INLINE explicit RowOf(const double* from) {
        for (std::size_t p = 0; p < N; ++p) part[p] = load_part(from + p * WINDTUNNEL_WIDTH);
    }
    WINDTUNNEL_INLINE explicit RowOf(const float* from) {
        for (std::size_t p = 0; p < N; ++p) part[p] = load_part(from + p * WINDTUNNEL_WIDTH);
    }
    WINDTUNNEL_INLINE explicit RowOf(const Lane& lane, std::size_t first = 0)
        : RowOf(lane.value + first) {}
    WINDTUNNEL_INLINE void store(double* to) const {
        for (std::size_t p = 0; p < N; ++p) store_part(part[p], to + p * WINDTUNNEL_WIDTH);
    }
    WINDTUNNEL_INLINE void store(Lane& lane, std::size_t first = 0) const {
        store(lane.value + first);
    }

    WINDTUNNEL_INLINE friend RowOf operator+(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(sum, RowOf, a.part[p] + b.part[p]);
    }
    WINDTUNNEL_INLINE friend RowOf operator-(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(difference, RowOf, a.part[p] - b.part[p]);
    }
    WINDTUNNEL_INLINE friend RowOf operator*(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(product, RowOf, a.part[p] * b.part[p]);
    }
    WINDTUNNEL_INLINE friend RowOf operator/(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(quotient, RowOf, a.part[p] / b.part[p]);
    }
    WINDTUNNEL_INLINE friend RowOf& operator+=(RowOf& a, const RowOf& b) { return a = a + b; }
    WINDTUNNEL_INLINE friend RowOf& operator-=(RowOf& a, const RowOf& b) { return a = a - b; }
    WINDTUNNEL_INLINE friend RowOf magnitude(const RowOf& a) {
        WINDTUNNEL_EACH_PART(size, RowOf, magnitude(a.part[p]));
    }
    WINDTUNNEL_INLINE friend RowOf settled(const RowOf& a) {
        WINDTUNNEL_EACH_PART(same, RowOf, settled(a.part[p]));
    }
    WINDTUNNEL_INLINE friend RowOf root(const RowOf& a) {
        RowOf result;
        for (std::size_t p = 0; p < N; ++p) {
            for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) {
                result.part[p][w] = __builtin_sqrt(a.part[p][w]);
            }
        }
        return result;
    }

    WINDTUNNEL_INLINE friend MaskOf<N> operator<(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf<N>, less(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend MaskOf<N> operator<=(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf<N>, at_most(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend MaskOf<N> operator>(const RowOf& a, const RowOf& b) { return b < a; }
    WINDTUNNEL_INLINE friend MaskOf<N> operator>=(const RowOf& a, const RowOf& b) { return b <= a; }
    WINDTUNNEL_INLINE friend MaskOf<N> operator==(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf<N>, equal(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend MaskOf<N> operator!=(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(mask, MaskOf<N>, unequal(a.part[p], b.part[p]));
    }

    // The larger and the smaller; `a` where one of them is NaN.
    WINDTUNNEL_INLINE friend RowOf larger(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(chosen, RowOf, larger(a.part[p], b.part[p]));
    }
    WINDTUNNEL_INLINE friend RowOf smaller(const RowOf& a, const RowOf& b) {
        WINDTUNNEL_EACH_PART(chosen, RowOf, smaller(a.part[p], b.part[p]));
    }
};

using Mask = MaskOf<kParts>;
using Row = RowOf<kParts>;

#undef WINDTUNNEL_EACH_PART

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

WINDTUNNEL_INLINE Mask mask_of(std::uint32_t bits) {
    Mask mask;
    for (std::size_t p = 0; p < kParts; ++p)
        mask.part[p] = true_bits(bits >> (p * WINDTUNNEL_WIDTH));
    return mask;
}
WINDTUNNEL_INLINE std::uint32_t bits_of_lanes(const std::uint8_t* bytes) {
    std::uint32_t bits = 0;
    for (std::size_t p = 0; p < kParts; ++p) {
        bits |= bits_of_bytes(bytes + p * WINDTUNNEL_WIDTH) << (p * WINDTUNNEL_WIDTH);
    }
    return bits;
}
