// The front door `exposures`: target weights, one column a configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/market.hpp"

namespace windtunnel {

// (T, N, C) row-major signed fractions of equity; NaN means no decision.
template <class Number>
struct Exposures {
    const Number* values = nullptr;
    const double* band = nullptr;  // (C,)
    std::size_t configurations = 0;

    // What a tile keeps of its own: which columns it reads.
    struct Tile {
        std::size_t first = 0;
        std::size_t width = 0;
    };

    std::size_t lane_configuration(std::size_t slot) const { return slot; }
    std::size_t signals(std::size_t) const { return 0; }

    void start(Tile& tile, Account& account, std::size_t first, std::size_t width) const {
        tile.first = first;
        tile.width = width;
        for (std::size_t l = 0; l < width; ++l) account.band[l] = band[first + l];
    }

    WINDTUNNEL_INLINE void begin_bar(Tile&, std::uint32_t) const {}

    // Targets of instrument n decided at bar t; false when nobody can have decided anything.
    WINDTUNNEL_INLINE bool decide(Tile& tile, Account& account, Lane*, const Market& market,
                                  std::size_t t, std::size_t n, Lane& target) const {
        const Number* row =
            values + (t * market.instruments + n) * configurations + tile.first;
        if (tile.width == kLanes) {
            for (std::size_t l = 0; l < kLanes; ++l) target[l] = static_cast<double>(row[l]);
        } else {
            target.fill(std::numeric_limits<double>::quiet_NaN());
            for (std::size_t l = 0; l < tile.width; ++l) target[l] = static_cast<double>(row[l]);
        }
        for (std::size_t l = 0; l < kLanes; ++l) {
            const double size = magnitude(target[l]);
            account.peak_input[l] = size > account.peak_input[l] ? size : account.peak_input[l];
        }
        return true;
    }
};

}  // namespace windtunnel
