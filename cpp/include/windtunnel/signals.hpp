// The front door `signals`: when to enter and when to leave, a flag a bar, one column a
// configuration.
#pragma once

#include <cstddef>
#include <cstdint>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/stops.hpp"

namespace windtunnel {

// Flags (T, N, C) row-major: a byte each, or eight configurations a byte with the first in the
// lowest bit and rows of (C + 7) / 8 bytes.
struct Flags {
    const std::uint8_t* entries = nullptr;
    const std::uint8_t* exits = nullptr;
    bool packed = false;
};

class Signals {
  public:
    // `size` (C,) is the signed fraction of equity that an entry spends, costs at `trading_rate`
    // included.
    Signals(const Flags& flags, const double* size, std::size_t configurations, double trading_rate,
            const StopParameters& stops = {})
        : flags_(flags),
          size_(size),
          configurations_(configurations),
          row_(flags.packed ? (configurations + 7) / 8 : configurations),
          trading_rate_(trading_rate),
          stops_(stops) {}

    struct Tile {
        Lane size;
        Lane entry;  // what is left of it for the position, at the constant rate of trading
        StopLanes stops;
        StopWatch watch;
        std::size_t first = 0;
        std::size_t width = 0;
    };

    std::size_t count() const { return configurations_; }
    std::size_t configuration(std::size_t slot) const { return slot; }
    std::size_t signals(std::size_t) const { return 0; }
    std::size_t wishes(std::size_t instruments) const { return instruments; }

    static constexpr bool kMayStop = true;
    bool has_stops() const { return stops_.any(); }

    bool packed() const { return flags_.packed; }
    std::size_t row() const { return row_; }  // bytes
    // Where the flags of a tile begin in a row.
    const std::uint8_t* entries_of(const Tile& tile, std::size_t row) const {
        return flags_.entries + row * row_ + column(tile);
    }
    const std::uint8_t* exits_of(const Tile& tile, std::size_t row) const {
        return flags_.exits + row * row_ + column(tile);
    }

    void start(Tile& tile, Account<Lane>& account, std::size_t first, std::size_t width) const {
        tile.first = first;
        tile.width = width;
        account.band.fill(0.0);
        for (std::size_t l = 0; l < kLanes; ++l) {
            // Lanes beyond the last configuration never see a flag.
            const std::size_t c = first + (l < width ? l : 0);
            tile.size[l] = size_[c];
            tile.entry[l] = size_[c] / (1.0 + trading_rate_);
            tile.stops.read(stops_, l, c);
        }
    }

  private:
    std::size_t column(const Tile& tile) const { return packed() ? tile.first / 8 : tile.first; }

    Flags flags_;
    const double* size_;
    std::size_t configurations_;
    std::size_t row_;
    double trading_rate_;
    StopParameters stops_;
};

}  // namespace windtunnel
