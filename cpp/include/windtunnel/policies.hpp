// The front door `policy`: scores become target exposures, many policies to a score column.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/stops.hpp"

namespace windtunnel {

// Arrays of one entry a policy; the caller owns them.
struct PolicyParameters {
    const std::int64_t* column = nullptr;  // score column that the policy reads
    const double* enter = nullptr;
    const double* exit = nullptr;
    const double* leverage = nullptr;
    const double* band = nullptr;
    std::size_t count = 0;
    bool long_only = false;
    StopParameters stops = {};  // they need the high and low of the panel
    // Yearly volatility that each policy aims at; null where none does.
    const double* volatility_target = nullptr;
    const double* volatility = nullptr;  // (T, N) of the panel, positive; NaN is no decision
};

class Policies {
  public:
    // scores (T, N, S) row-major float32 with S = columns.
    Policies(const float* scores, std::size_t columns, const PolicyParameters& parameters)
        : scores_(scores), columns_(columns), parameters_(parameters), order_(parameters.count) {
        // Policies of one score column sit together, so that a tile reads it once for all.
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
            return parameters.column[a] < parameters.column[b];
        });
    }

    struct Tile {
        enum class Load { shared, adjacent, scattered };
        Lane enter, least, leverage, share, volatility_target;
        std::size_t column[kLanes];
        std::uint32_t listed = 0;  // the count that `share` was divided by
        Load load = Load::scattered;
        StopLanes stops;
    };

    std::size_t count() const { return order_.size(); }
    std::size_t configuration(std::size_t slot) const { return order_[slot]; }
    std::size_t signals(std::size_t instruments) const { return instruments; }
    std::size_t wishes(std::size_t) const { return 0; }

    static constexpr bool kMayStop = true;
    bool has_stops() const { return parameters_.stops.any(); }
    // Null unless policies aim at a volatility.
    const double* volatility() const { return parameters_.volatility; }

    std::size_t columns() const { return columns_; }
    const float* scores_at(std::size_t row) const { return scores_ + row * columns_; }
    double lowest_signal() const { return parameters_.long_only ? 0.0 : -1.0; }

    void start(Tile& tile, Account<Lane>& account, std::size_t first, std::size_t width) const {
        bool shared = true;
        bool adjacent = true;
        for (std::size_t l = 0; l < kLanes; ++l) {
            // Lanes beyond the last policy repeat it; nobody reads their results.
            const std::size_t policy = order_[first + std::min(l, width - 1)];
            tile.enter[l] = parameters_.enter[policy];
            tile.least[l] = std::min(parameters_.enter[policy], parameters_.exit[policy]);
            tile.leverage[l] = parameters_.leverage[policy];
            tile.share[l] = 0.0;
            tile.volatility_target[l] = parameters_.volatility_target == nullptr
                                            ? 0.0
                                            : parameters_.volatility_target[policy];
            tile.stops.read(parameters_.stops, l, policy);
            tile.column[l] = static_cast<std::size_t>(parameters_.column[policy]);
            account.band[l] = parameters_.band[policy];
            shared = shared && tile.column[l] == tile.column[0];
            adjacent = adjacent && tile.column[l] == tile.column[0] + l;
        }
        tile.listed = 0;
        tile.load = shared     ? Tile::Load::shared
                    : adjacent ? Tile::Load::adjacent
                               : Tile::Load::scattered;
    }

    // Every instrument that has a bar gets an equal share of the leverage.
    static void divide_leverage(Tile& tile, std::uint32_t listed) {
        tile.listed = listed;
        for (std::size_t l = 0; l < kLanes; ++l) {
            tile.share[l] = tile.leverage[l] / static_cast<double>(listed);
        }
    }

  private:
    const float* scores_;
    std::size_t columns_;
    PolicyParameters parameters_;
    std::vector<std::size_t> order_;
};

}  // namespace windtunnel
