// Lanes: a tile of configurations that walk through time side by side.
//
// Every per-configuration quantity of the engine is a row of kLanes doubles. Lanes never exchange
// numbers, and every operation is one IEEE operation a lane, so results depend neither on the
// vector width nor on who shares a tile with whom.
#pragma once

#include <cstddef>

namespace windtunnel {

inline constexpr std::size_t kLanes = 16;

// A row at rest in memory; kernel/row.hpp has the row at work in registers.
struct alignas(64) Lane {
    double value[kLanes];

    double& operator[](std::size_t lane) { return value[lane]; }
    const double& operator[](std::size_t lane) const { return value[lane]; }

    void fill(double number) {
        for (double& each : value) each = number;
    }
};

}  // namespace windtunnel
