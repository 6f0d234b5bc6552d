// A sweep over a market, and the tiles of lanes that it consists of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "windtunnel/account.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/market.hpp"
#include "windtunnel/measures.hpp"
#include "windtunnel/results.hpp"
#include "windtunnel/stops.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

// `Door` is what the caller gave: exposures, or scores with policies.
template <class Door>
struct Sweep {
    const Door& door;
    const Market& market;
    const Terms& terms;
    const Results& results;
    std::size_t past = 0;  // bars of the history before the market's first
};

template <class Door>
struct Tile {
    Account<Lane> account;
    typename Door::Tile door;
    Lane* units;                // one row an instrument
    Lane capped;                // orders cut short
    Lane ambiguous;             // bars that held both a stop and a target
    StopState* stops;           // one an instrument, where the door has stops
    Lane* signals;              // one row an instrument, where the door has a memory
    std::uint32_t* wishes;      // bits of the lanes that want to be in, one set an instrument
    std::uint32_t* held;        // bits of the lanes that are in, known without asking the units
    MeasuredTile* measured;     // null unless metrics are wanted
    std::vector<Trade> trades;  // while a log is kept
    std::size_t width;
    std::size_t configuration[kLanes];
    bool in_order;  // lanes are neighbouring configurations, so that rows can be copied whole
};

}  // namespace windtunnel
