// Words of bits, one a lane, a bit a bar: what is true of a lane throughout part of a block.
// Compiled once for each level; see levels.hpp.

inline constexpr std::size_t kWordBars = 32;
static_assert(kMeasuredBars % kWordBars == 0, "words fill a block");

inline constexpr std::size_t kWordWidth = 2 * WINDTUNNEL_WIDTH;  // words that fill a vector
inline constexpr std::size_t kWordParts = kLanes / kWordWidth;

typedef std::uint32_t WordPart __attribute__((vector_size(kWordWidth * sizeof(std::uint32_t))));

struct Words {
    WordPart part[kWordParts];

    WINDTUNNEL_INLINE Words() = default;
    WINDTUNNEL_INLINE Words(std::uint32_t word) {
        for (WordPart& each : part) each = word - WordPart{};
    }
};

#define WINDTUNNEL_EACH_WORD_PART(expression)                                 \
    Words result;                                                             \
    for (std::size_t p = 0; p < kWordParts; ++p) result.part[p] = expression; \
    return result

WINDTUNNEL_INLINE Words operator&(const Words& a, const Words& b) {
    WINDTUNNEL_EACH_WORD_PART(a.part[p] & b.part[p]);
}
WINDTUNNEL_INLINE Words operator|(const Words& a, const Words& b) {
    WINDTUNNEL_EACH_WORD_PART(a.part[p] | b.part[p]);
}
WINDTUNNEL_INLINE Words operator^(const Words& a, const Words& b) {
    WINDTUNNEL_EACH_WORD_PART(a.part[p] ^ b.part[p]);
}
WINDTUNNEL_INLINE Words operator~(const Words& a) {
    WINDTUNNEL_EACH_WORD_PART(~a.part[p]);
}
WINDTUNNEL_INLINE Words operator+(const Words& a, const Words& b) {
    WINDTUNNEL_EACH_WORD_PART(a.part[p] + b.part[p]);
}
WINDTUNNEL_INLINE Words operator<<(const Words& a, std::size_t bits) {
    WINDTUNNEL_EACH_WORD_PART(a.part[p] << static_cast<std::uint32_t>(bits));
}

#undef WINDTUNNEL_EACH_WORD_PART

// Full words for the lanes whose bits are set.
WINDTUNNEL_INLINE Words words_of_lanes(std::uint32_t lanes) {
    WordPart bit;
    for (std::size_t w = 0; w < kWordWidth; ++w) bit[w] = std::uint32_t{1} << w;
    Words result;
    for (std::size_t p = 0; p < kWordParts; ++p) {
        const WordPart here = (lanes >> (p * kWordWidth)) - WordPart{};
        result.part[p] = (WordPart)((here & bit) != 0);
    }
    return result;
}

// Sets the bar whose bit `bar` has, in the lanes whose bits are set.
WINDTUNNEL_INLINE void add_lanes(Words& words, std::uint32_t lanes, const Words& bar) {
#if defined(WINDTUNNEL_MASK_REGISTERS)
    const __m512i now = (__m512i)words.part[0];
    words.part[0] =
        (WordPart)_mm512_mask_or_epi32(now, (__mmask16)lanes, now, (__m512i)bar.part[0]);
#else
    words = words | (words_of_lanes(lanes) & bar);
#endif
}

// The bits of the lanes that have the bit of a bar.
WINDTUNNEL_INLINE std::uint32_t lanes_with(const Words& words, const Words& bar) {
#if defined(WINDTUNNEL_MASK_REGISTERS)
    return _mm512_test_epi32_mask((__m512i)words.part[0], (__m512i)bar.part[0]);
#else
    std::uint32_t lanes = 0;
    for (std::size_t p = 0; p < kWordParts; ++p) {
        const WordPart found = (WordPart)((words.part[p] & bar.part[p]) != 0);
#if defined(WINDTUNNEL_X86_LEVELS)
        for (std::size_t w = 0; w < kWordWidth; w += 4) {
            __m128 four;
            std::memcpy(&four, reinterpret_cast<const char*>(&found) + 4 * w, sizeof four);
            lanes |= static_cast<std::uint32_t>(_mm_movemask_ps(four)) << (p * kWordWidth + w);
        }
#else
        for (std::size_t w = 0; w < kWordWidth; ++w) {
            lanes |= (found[w] & 1) << (p * kWordWidth + w);
        }
#endif
    }
    return lanes;
#endif
}

// What every bar finds when bits before it were set and cleared; the lanes of `at_first` are set
// at the first. A bar that both sets and clears does nothing.
//
// An adder's carries are such a memory: a sum carries where both numbers have a bit, keeps a carry
// where one has, and loses it where none has.
WINDTUNNEL_INLINE Words found_set(const Words& sets, const Words& clears, std::uint32_t at_first) {
    const Words sure = sets & ~clears;
    const Words kept = ~(clears & ~sets);
    return (sure + kept + (words_of_lanes(at_first) & 1)) ^ sure ^ kept;
}
