// The front door `policy`: scores become target exposures, many policies to a score column.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/market.hpp"

namespace windtunnel {

// One lane's next signal in {-1, 0, +1}; the meaning of enter and exit.
//
// `windtunnel.backtest.policy` says the same in NumPy for the served path. A held signal lives
// while the score agrees with it and reaches min(enter, exit); otherwise, and from flat, a score
// that reaches `enter` sets the signal to its sign. NaN is no opinion: the signal stays.
WINDTUNNEL_INLINE double next_signal(double signal, double score, double enter, double least,
                                     double lowest) {
    const double strength = magnitude(score);
    const double side = score > 0.0 ? 1.0 : (score < 0.0 ? lowest : 0.0);
    const double entered = strength >= enter ? side : 0.0;
    const double held = strength >= least ? signal : 0.0;
    const double next = score * signal > 0.0 ? held : entered;
    return score == score ? next : signal;
}

class Policies {
  public:
    // scores (T, N, S) row-major float32; the other arrays have one entry a policy.
    Policies(const float* scores, std::size_t columns, std::size_t count,
             const std::int64_t* column, const double* enter, const double* exit,
             const double* leverage, const double* band, bool long_only)
        : scores_(scores),
          columns_(columns),
          column_(column),
          enter_(enter),
          exit_(exit),
          leverage_(leverage),
          band_(band),
          lowest_(long_only ? 0.0 : -1.0),
          order_(count) {
        // Policies of one score column sit together, so that a tile reads it once for all.
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::stable_sort(order_.begin(), order_.end(), [column](std::size_t a, std::size_t b) {
            return column[a] < column[b];
        });
    }

    struct Tile {
        enum class Load { shared, adjacent, scattered };
        Lane enter, least, leverage, share;
        std::size_t column[kLanes];
        std::uint32_t listed = 0;  // the count that `share` was divided by
        Load load = Load::scattered;
    };

    std::size_t count() const { return order_.size(); }
    std::size_t lane_configuration(std::size_t slot) const { return order_[slot]; }
    std::size_t signals(std::size_t instruments) const { return instruments; }

    void start(Tile& tile, Account& account, std::size_t first, std::size_t width) const {
        for (std::size_t l = 0; l < kLanes; ++l) {
            // Lanes beyond the last policy repeat it; nobody reads their results.
            const std::size_t policy = order_[first + std::min(l, width - 1)];
            tile.enter[l] = enter_[policy];
            tile.least[l] = std::min(enter_[policy], exit_[policy]);
            tile.leverage[l] = leverage_[policy];
            tile.share[l] = 0.0;
            tile.column[l] = static_cast<std::size_t>(column_[policy]);
            account.band[l] = band_[policy];
        }
        tile.listed = 0;
        bool shared = true;
        bool adjacent = true;
        for (std::size_t l = 1; l < kLanes; ++l) {
            shared = shared && tile.column[l] == tile.column[0];
            adjacent = adjacent && tile.column[l] == tile.column[0] + l;
        }
        tile.load = shared     ? Tile::Load::shared
                    : adjacent ? Tile::Load::adjacent
                               : Tile::Load::scattered;
    }

    // Every instrument that has a bar gets an equal share of the leverage.
    WINDTUNNEL_INLINE void begin_bar(Tile& tile, std::uint32_t listed) const {
        if (listed == tile.listed || listed == 0) return;
        tile.listed = listed;
        const double count = static_cast<double>(listed);
        for (std::size_t l = 0; l < kLanes; ++l) tile.share[l] = tile.leverage[l] / count;
    }

    // Targets of instrument n decided at bar t; false when it had no bar, hence no decision.
    WINDTUNNEL_INLINE bool decide(Tile& tile, Account& account, Lane* signals,
                                  const Market& market, std::size_t t, std::size_t n,
                                  Lane& target) const {
        const std::size_t at = t * market.instruments + n;
        if (!market.listed[at]) return false;
        Lane score;
        const float* row = scores_ + at * columns_;
        if (tile.load == Tile::Load::shared) {
            score.fill(static_cast<double>(row[tile.column[0]]));
        } else if (tile.load == Tile::Load::adjacent) {
            const float* from = row + tile.column[0];
            for (std::size_t l = 0; l < kLanes; ++l) score[l] = static_cast<double>(from[l]);
        } else {
            for (std::size_t l = 0; l < kLanes; ++l) {
                score[l] = static_cast<double>(row[tile.column[l]]);
            }
        }
        Lane& signal = signals[n];
        for (std::size_t l = 0; l < kLanes; ++l) {
            const double size = magnitude(score[l]);
            account.peak_input[l] = size > account.peak_input[l] ? size : account.peak_input[l];
            signal[l] = next_signal(signal[l], score[l], tile.enter[l], tile.least[l], lowest_);
            target[l] = signal[l] * tile.share[l];
        }
        return true;
    }

  private:
    const float* scores_;
    std::size_t columns_;
    const std::int64_t* column_;
    const double* enter_;
    const double* exit_;
    const double* leverage_;
    const double* band_;
    double lowest_;
    std::vector<std::size_t> order_;
};

}  // namespace windtunnel
