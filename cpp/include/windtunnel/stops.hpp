// Stops: exits that a policy takes without a new score.
#pragma once

#include <cstddef>
#include <limits>

#include "windtunnel/lanes.hpp"

namespace windtunnel {

// One entry a policy, each an array of its own; the caller owns them. Null where there is none,
// and infinity for a policy without it.
struct StopParameters {
    const double* loss = nullptr;      // fraction below the entry price
    const double* profit = nullptr;    // fraction above the entry price
    const double* trailing = nullptr;  // fraction below the best price since the entry
    const double* bars = nullptr;      // bars that a position is held at most

    bool any() const {
        return loss != nullptr || profit != nullptr || trailing != nullptr || bars != nullptr;
    }
};

// The stops of the lanes of a tile.
struct StopLanes {
    Lane loss, profit, trailing, bars;

    void read(const StopParameters& from, std::size_t lane, std::size_t policy) {
        const auto entry = [policy](const double* values) {
            return values == nullptr ? std::numeric_limits<double>::infinity() : values[policy];
        };
        loss[lane] = entry(from.loss);
        profit[lane] = entry(from.profit);
        trailing[lane] = entry(from.trailing);
        bars[lane] = entry(from.bars);
    }
};

// What the stops of one instrument remember.
struct StopState {
    Lane entry;   // price of the fill that opened the position
    Lane best;    // highest high of a long position since, lowest low of a short one
    Lane since;   // bar of that fill
    Lane barred;  // side that was stopped: no new position there until the signal has left it
};

// The same, made ready for the question whether a bar reaches any level at all: prices times
// side, so that further is better on both sides. A lane without a position has its stop at minus
// infinity, its target and its last bar at infinity. A watch of zeros, as a tile begins with, is
// reached by any bar, and thereby made ready.
struct StopWatch {
    Lane fixed;   // where the loss is
    Lane target;  // where the profit is
    Lane best;
    Lane follow;  // the trailing stop is at best x follow; NaN without a position
    Lane until;   // first bar whose orders close the position
};

}  // namespace windtunnel
