// Lanes: a tile of configurations that walk through time side by side.
//
// Every per-configuration quantity of the engine is an array of kLanes doubles, and every step
// is a loop over lanes without branches, which compilers turn into SIMD code for whatever
// instruction set the caller targets. Lanes never exchange numbers, so results depend neither on
// the vector width nor on who shares a tile with whom.
#pragma once

#include <cstddef>

#if defined(__GNUC__) || defined(__clang__)
// The kernels must inline into callers that target a wider instruction set: a plain `inline`
// function would keep the baseline's code.
#define WINDTUNNEL_INLINE [[gnu::always_inline]] inline
#else
#define WINDTUNNEL_INLINE inline
#endif

namespace windtunnel {

inline constexpr std::size_t kLanes = 16;

// A cache line a row of eight; 64 bytes is also the widest vector in use.
struct alignas(64) Lane {
    double value[kLanes];

    WINDTUNNEL_INLINE double& operator[](std::size_t lane) { return value[lane]; }
    WINDTUNNEL_INLINE const double& operator[](std::size_t lane) const { return value[lane]; }

    WINDTUNNEL_INLINE void fill(double number) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) value[lane] = number;
    }
};

WINDTUNNEL_INLINE double magnitude(double x) {
    return __builtin_fabs(x);
}

}  // namespace windtunnel
