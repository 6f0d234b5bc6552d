// One vector of WINDTUNNEL_WIDTH doubles and what is true of its lanes. Compiled once for each
// level; see levels.hpp. Rows are made of parts.

typedef double Part __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(double))));
typedef float NarrowPart __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(float))));
// The same wherever numbers lie. Not by memcpy, after which a compiler takes nothing in memory for
// unchanged.
typedef Part LoosePart __attribute__((aligned(alignof(double))));
typedef NarrowPart LooseNarrowPart __attribute__((aligned(alignof(float))));
typedef std::int64_t BitsPart __attribute__((vector_size(WINDTUNNEL_WIDTH * sizeof(double))));
typedef BitsPart CountPart;  // whole numbers

WINDTUNNEL_INLINE Part magnitude(Part a) {
    return (Part)((BitsPart)a & INT64_MAX);
}
WINDTUNNEL_INLINE Part spread(double number) {
    return number - Part{};
}
WINDTUNNEL_INLINE Part load_part(const double* from) {
    return *reinterpret_cast<const LoosePart*>(from);
}
WINDTUNNEL_INLINE Part load_part(const float* from) {
#if defined(WINDTUNNEL_MASK_REGISTERS)
    // Compilers convert in halves and put those together. Under a mask of all for the reason below.
    return (Part)_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(from));
#else
    return __builtin_convertvector(*reinterpret_cast<const LooseNarrowPart*>(from), Part);
#endif
}
WINDTUNNEL_INLINE void store_part(Part part, double* to) {
    *reinterpret_cast<LoosePart*>(to) = part;
}

#if defined(WINDTUNNEL_MASK_REGISTERS)

// A bit a lane, in the registers that AVX-512 has for it.
typedef __mmask8 Truth;

WINDTUNNEL_INLINE Truth less(Part a, Part b) {
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
}
WINDTUNNEL_INLINE Truth at_most(Part a, Part b) {
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LE_OQ);
}
WINDTUNNEL_INLINE Truth equal(Part a, Part b) {
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_EQ_OQ);
}
WINDTUNNEL_INLINE Truth unequal(Part a, Part b) {
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_NEQ_UQ);
}
WINDTUNNEL_INLINE Truth both(Truth a, Truth b) {
    return _kand_mask8(a, b);
}
WINDTUNNEL_INLINE Truth either(Truth a, Truth b) {
    return _kor_mask8(a, b);
}
WINDTUNNEL_INLINE Truth neither(Truth a) {
    return _knot_mask8(a);
}
WINDTUNNEL_INLINE Part choose(Truth truth, Part yes, Part no) {
    return (Part)_mm512_mask_blend_pd(truth, (__m512d)no, (__m512d)yes);
}
// The larger and the smaller; the first where one of them is NaN. Under a mask of all, since
// compilers take the plain form's unused operand for uninitialised.
WINDTUNNEL_INLINE Part larger(Part a, Part b) {
    return (Part)_mm512_maskz_max_pd(0xff, (__m512d)b, (__m512d)a);
}
WINDTUNNEL_INLINE Part smaller(Part a, Part b) {
    return (Part)_mm512_maskz_min_pd(0xff, (__m512d)b, (__m512d)a);
}
WINDTUNNEL_INLINE bool holds(Truth truth) {
    return truth != 0;
}
// Has a number ready whatever a mask will say of it: compilers would rather work it out under that
// mask, and wait for it.
WINDTUNNEL_INLINE Part settled(Part part) {
    __asm__("" : "+v"(part));
    return part;
}
// Bit w is set where lane w is true, and where byte w is not zero.
WINDTUNNEL_INLINE std::uint32_t bits_of(Truth truth) {
    return truth;
}
WINDTUNNEL_INLINE std::uint32_t bits_of_bytes(const std::uint8_t* from) {
    std::uint64_t bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    const __m128i wide = _mm_cvtsi64_si128((long long)bytes);
    return _mm_test_epi8_mask(wide, wide);
}
// Lane w is true where bit w of `bits` is set.
WINDTUNNEL_INLINE Truth true_bits(std::uint32_t bits) {
    return (Truth)bits;
}
// Of part `p` of a row's bits in memory.
WINDTUNNEL_INLINE Truth true_bits_of(const std::uint32_t& bits, std::size_t p) {
    return _load_mask8((__mmask8*)&bits + p);
}
// One more where it is true; and elsewhere as before, or none.
WINDTUNNEL_INLINE CountPart count_where(Truth truth, CountPart count) {
    return (CountPart)_mm512_mask_add_epi64((__m512i)count, truth, (__m512i)count,
                                            _mm512_set1_epi64(1));
}
WINDTUNNEL_INLINE CountPart count_while(Truth truth, CountPart count) {
    return (CountPart)_mm512_maskz_add_epi64(truth, (__m512i)count, _mm512_set1_epi64(1));
}

#else

// All bits of a lane, or none.
typedef BitsPart Truth;

WINDTUNNEL_INLINE Truth less(Part a, Part b) {
    return a < b;
}
WINDTUNNEL_INLINE Truth at_most(Part a, Part b) {
    return a <= b;
}
WINDTUNNEL_INLINE Truth equal(Part a, Part b) {
    return a == b;
}
WINDTUNNEL_INLINE Truth unequal(Part a, Part b) {
    return a != b;
}
WINDTUNNEL_INLINE Truth both(Truth a, Truth b) {
    return a & b;
}
WINDTUNNEL_INLINE Truth either(Truth a, Truth b) {
    return a | b;
}
WINDTUNNEL_INLINE Truth neither(Truth a) {
    return ~a;
}
WINDTUNNEL_INLINE Part choose(Truth truth, Part yes, Part no) {
    return truth ? yes : no;
}
WINDTUNNEL_INLINE Part larger(Part a, Part b) {
    return a < b ? b : a;
}
WINDTUNNEL_INLINE Part smaller(Part a, Part b) {
    return b < a ? b : a;
}
WINDTUNNEL_INLINE Part settled(Part part) {
    return part;
}
WINDTUNNEL_INLINE bool holds(Truth truth) {
    std::int64_t found = 0;
    for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) found |= truth[w];
    return found != 0;
}
WINDTUNNEL_INLINE std::uint32_t bits_of(Truth truth) {
    std::uint32_t bits = 0;
    for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) {
        bits |= static_cast<std::uint32_t>(truth[w] & 1) << w;
    }
    return bits;
}
WINDTUNNEL_INLINE std::uint32_t bits_of_bytes(const std::uint8_t* from) {
    std::uint32_t bits = 0;
    for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) {
        bits |= static_cast<std::uint32_t>(from[w] != 0) << w;
    }
    return bits;
}
WINDTUNNEL_INLINE Truth true_bits(std::uint32_t bits) {
    BitsPart lane;
    for (std::size_t w = 0; w < WINDTUNNEL_WIDTH; ++w) lane[w] = std::int64_t{1} << w;
    return (lane & (std::int64_t)bits) != 0;
}
WINDTUNNEL_INLINE Truth true_bits_of(const std::uint32_t& bits, std::size_t p) {
    return true_bits(bits >> (p * WINDTUNNEL_WIDTH));
}
WINDTUNNEL_INLINE CountPart count_where(Truth truth, CountPart count) {
    return count - truth;
}
WINDTUNNEL_INLINE CountPart count_while(Truth truth, CountPart count) {
    return (count + 1) & truth;
}

#endif

// All bits where a number is below zero; not meant for minus zero, which no difference is, nor for
// NaN.
WINDTUNNEL_INLINE BitsPart is_negative(Part a) {
    return (BitsPart)a >> 63;
}

WINDTUNNEL_INLINE CountPart larger(CountPart a, CountPart b) {
    return a < b ? b : a;
}
WINDTUNNEL_INLINE CountPart counts(Part numbers) {
    return __builtin_convertvector(numbers, CountPart);
}
WINDTUNNEL_INLINE Part numbers(CountPart counts) {
    return __builtin_convertvector(counts, Part);
}
