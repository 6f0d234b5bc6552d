// The front door `exposures`: target weights, one column a configuration.
#pragma once

#include <cstddef>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"

namespace windtunnel {

// (T, N, C) row-major signed fractions of equity; NaN means no decision.
template <class Number>
struct Exposures {
    const Number* values = nullptr;
    const double* band = nullptr;  // (C,)
    std::size_t configurations = 0;

    // Which columns a tile reads.
    struct Tile {
        std::size_t first = 0;
        std::size_t width = 0;
    };

    std::size_t count() const { return configurations; }
    std::size_t configuration(std::size_t slot) const { return slot; }
    std::size_t signals(std::size_t) const { return 0; }
    std::size_t wishes(std::size_t) const { return 0; }
    static constexpr bool kMayStop = false;
    static constexpr bool has_stops() { return false; }

    void start(Tile& tile, Account<Lane>& account, std::size_t first, std::size_t width) const {
        tile.first = first;
        tile.width = width;
        for (std::size_t l = 0; l < width; ++l) account.band[l] = band[first + l];
    }
};

}  // namespace windtunnel
