// The kernels compiled for each instruction set, and the choice among them when they are called.
//
// A level is a namespace with the same code at another vector width. The files in kernel/ are
// included once a level under that level's compiler target, since a compiler breaks wide vectors
// up in functions that do not target them, before it inlines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "windtunnel/exposures.hpp"
#include "windtunnel/instruction_set.hpp"
#include "windtunnel/policies.hpp"
#include "windtunnel/rules.hpp"
#include "windtunnel/signals.hpp"
#include "windtunnel/tile.hpp"

#if defined(WINDTUNNEL_X86_LEVELS)
#include <immintrin.h>
#endif

#define WINDTUNNEL_INLINE [[gnu::always_inline]] inline

#define WINDTUNNEL_LEVEL baseline
#define WINDTUNNEL_WIDTH 2
#include "windtunnel/kernel/all.hpp"
#undef WINDTUNNEL_LEVEL
#undef WINDTUNNEL_WIDTH

#if defined(WINDTUNNEL_X86_LEVELS)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define WINDTUNNEL_LEVEL avx2
#define WINDTUNNEL_WIDTH 4
#include "windtunnel/kernel/all.hpp"
#undef WINDTUNNEL_LEVEL
#undef WINDTUNNEL_WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#endif
#define WINDTUNNEL_LEVEL avx512
#define WINDTUNNEL_WIDTH 8
#define WINDTUNNEL_MASK_REGISTERS 1
#include "windtunnel/kernel/all.hpp"
#undef WINDTUNNEL_MASK_REGISTERS
#undef WINDTUNNEL_LEVEL
#undef WINDTUNNEL_WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

#undef WINDTUNNEL_INLINE

namespace windtunnel {

template <class Door>
using Advance = void (*)(const Sweep<Door>&, Tile<Door>&, std::size_t, std::size_t);

template <class Door, Rules kRules>
Advance<Door> choose_level(InstructionSet level) {
#if defined(WINDTUNNEL_X86_LEVELS)
    if (level == InstructionSet::avx512) return avx512::advance<Door, kRules>;
    if (level == InstructionSet::avx2) return avx2::advance<Door, kRules>;
#endif
    (void)level;
    return baseline::advance<Door, kRules>;
}

template <class Door>
Advance<Door> choose_advance(InstructionSet level, Rules rules) {
    if (rules == Rules::plain) return choose_level<Door, Rules::plain>(level);
    if constexpr (std::is_same_v<Door, Exposures<float>> ||
                  std::is_same_v<Door, Exposures<double>>) {
        if (rules == Rules::returns) return choose_level<Door, Rules::returns>(level);
    }
    if constexpr (std::is_same_v<Door, Signals>) {
        if (rules == Rules::stops) return choose_level<Door, Rules::stops>(level);
    }
    return choose_level<Door, Rules::detailed>(level);
}

// Measures of lanes that wait; any level gives the same bits.
inline void (*choose_measure(InstructionSet level))(MeasuredTile&) {
#if defined(WINDTUNNEL_X86_LEVELS)
    if (level == InstructionSet::avx512) return avx512::measure;
    if (level == InstructionSet::avx2) return avx2::measure;
#endif
    (void)level;
    return baseline::measure;
}

}  // namespace windtunnel
