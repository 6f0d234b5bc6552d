// Which instruction set the kernels run with, decided when they are called.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
#define WINDTUNNEL_X86_LEVELS 1
#endif

namespace windtunnel {

// `baseline` is what the build targets: x86-64-v2, NEON on arm64, else plain code.
enum class InstructionSet { baseline, avx2, avx512 };

inline const char* name(InstructionSet level) {
    switch (level) {
        case InstructionSet::avx512:
            return "avx512";
        case InstructionSet::avx2:
            return "avx2";
        case InstructionSet::baseline:
            break;
    }
#if defined(WINDTUNNEL_X86_LEVELS)
    return "v2";
#elif defined(__aarch64__) || defined(_M_ARM64)
    return "neon";
#else
    return "plain";
#endif
}

// The widest level that this processor runs.
inline InstructionSet widest_instruction_set() {
#if defined(WINDTUNNEL_X86_LEVELS)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        return InstructionSet::avx512;
    }
    if (__builtin_cpu_supports("avx2")) return InstructionSet::avx2;
#endif
    return InstructionSet::baseline;
}

// The level in use: the widest, or the one that WINDTUNNEL_ISA names.
inline InstructionSet instruction_set() {
    const InstructionSet widest = widest_instruction_set();
    const char* wish = std::getenv("WINDTUNNEL_ISA");
    if (wish == nullptr || *wish == '\0') return widest;
    std::string known;
    for (const InstructionSet level :
         {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
        if (level > widest) break;
        if (std::string_view(wish) == name(level)) return level;
        known += known.empty() ? "" : ", ";
        known += name(level);
    }
    throw std::invalid_argument(std::string("WINDTUNNEL_ISA: this processor runs ") + known +
                                ", got '" + wish + "'");
}

}  // namespace windtunnel
