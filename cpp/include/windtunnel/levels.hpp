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
#include "windtunnel/tile.hpp"

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
#include "windtunnel/kernel/all.hpp"
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

// `detailed` is the loop with every rule; the plain one leaves out what is turned off.
template <class Door, bool kDetailed>
Advance<Door> choose_level(InstructionSet level) {
#if defined(WINDTUNNEL_X86_LEVELS)
    if (level == InstructionSet::avx512) return avx512::advance<Door, kDetailed>;
    if (level == InstructionSet::avx2) return avx2::advance<Door, kDetailed>;
#endif
    (void)level;
    return baseline::advance<Door, kDetailed>;
}

template <class Door>
Advance<Door> choose_advance(InstructionSet level, bool detailed) {
    return detailed ? choose_level<Door, true>(level) : choose_level<Door, false>(level);
}

}  // namespace windtunnel
