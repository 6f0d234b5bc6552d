// The sweep: groups of tiles, block of bars by block of bars.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "windtunnel/levels.hpp"
#include "windtunnel/tile.hpp"

namespace windtunnel {

// Bars that a tile advances before its neighbour takes over: a page of (T, N, C) input then
// serves several tiles while it is still in the cache. Whole blocks end where blocks of measures
// do.
inline std::size_t block_bars(std::size_t instruments) {
    constexpr std::size_t kFewest = 8, kRows = 1024;
    static_assert(kMeasuredBars % kFewest == 0);
    std::size_t bars = kMeasuredBars;
    while (bars > kFewest && bars * instruments > kRows) bars /= 2;
    return bars;
}

// Most tiles that one thread advances together through time.
inline constexpr std::size_t kGroupTiles = 16;

template <class Door>
void write_totals(const Sweep<Door>& sweep, const Tile<Door>& tile) {
    const Account<Lane>& a = tile.account;
    const Results& to = sweep.results;
    const double bars = static_cast<double>(sweep.past + sweep.market.bars);
    for (std::size_t l = 0; l < tile.width; ++l) {
        const std::size_t c = tile.configuration[l];
        to.final_equity[c] = a.equity[l];
        to.turnover[c] = a.turnover[l];
        to.costs[c] = a.costs[l];
        to.financing[c] = a.financing[l];
        to.exposure[c] = a.exposure[l] / bars;
        to.peak_input[c] = a.peak_input[l];
        to.fills[c] = static_cast<std::int64_t>(a.fills[l]);
        to.dropped[c] = static_cast<std::int64_t>(a.dropped[l]);
        if (to.capped != nullptr) to.capped[c] = static_cast<std::int64_t>(tile.capped[l]);
        if (to.ambiguous != nullptr) {
            to.ambiguous[c] = static_cast<std::int64_t>(tile.ambiguous[l]);
        }
        to.liquidated[c] = static_cast<std::int64_t>(a.liquidated[l]);
    }
    if (to.metrics == nullptr) return;
    // A copy is measured to its end: the tile may go on with bars that belong to the same block.
    MeasuredTile measured = *tile.measured;
    choose_measure(instruction_set())(measured);
    for (std::size_t l = 0; l < tile.width; ++l) {
        to.metrics[tile.configuration[l]] =
            conclude(measured.so_far, l, a.equity[l], measured.measured, sweep.terms.initial_cash,
                     sweep.terms.periods_per_year);
    }
}

// Configurations in slots [first, first + slots), and all that is known of them.
template <class Door>
struct Group {
    std::size_t first = 0;
    std::size_t slots = 0;
    std::unique_ptr<Tile<Door>[]> tiles;
    std::unique_ptr<Lane[]> memory;
    std::unique_ptr<StopState[]> stops;
    std::unique_ptr<std::uint32_t[]> wishes;
    std::unique_ptr<MeasuredTile[]> measured;

    std::size_t count() const { return (slots + kLanes - 1) / kLanes; }
};

template <class Door>
void open_group(const Sweep<Door>& sweep, Group<Door>& group) {
    const std::size_t instruments = sweep.market.instruments;
    const std::size_t rows = instruments + sweep.door.signals(instruments);
    const std::size_t count = group.count();
    const bool has_stops = sweep.door.has_stops();
    group.tiles = std::make_unique<Tile<Door>[]>(count);
    group.memory = std::make_unique<Lane[]>(count * rows);  // zero: flat, without units
    group.stops = std::make_unique<StopState[]>(has_stops ? count * instruments : 0);
    const std::size_t wishes = sweep.door.wishes(instruments);
    group.wishes = std::make_unique<std::uint32_t[]>(2 * count * wishes);
    if (sweep.results.metrics != nullptr) group.measured = std::make_unique<MeasuredTile[]>(count);
    for (std::size_t i = 0; i < count; ++i) {
        Tile<Door>& tile = group.tiles[i];
        tile.measured = group.measured ? group.measured.get() + i : nullptr;
        if (tile.measured != nullptr) tile.measured->open(sweep.terms.initial_cash);
        const std::size_t slot = group.first + i * kLanes;
        tile.units = group.memory.get() + i * rows;
        tile.signals = tile.units + instruments;
        tile.wishes = group.wishes.get() + 2 * i * wishes;
        tile.held = tile.wishes + wishes;
        tile.width = std::min(kLanes, group.slots - i * kLanes);
        tile.in_order = true;
        tile.capped.fill(0.0);
        tile.ambiguous.fill(0.0);
        tile.stops = group.stops.get() + (has_stops ? i * instruments : 0);
        for (std::size_t l = 0; l < tile.width; ++l) {
            tile.configuration[l] = sweep.door.configuration(slot + l);
            tile.in_order = tile.in_order && tile.configuration[l] == tile.configuration[0] + l;
        }
        open_account(tile.account, sweep.terms.initial_cash);
        sweep.door.start(tile.door, tile.account, slot, tile.width);
    }
}

// A group from bar `begin` of the market to its last.
template <class Door>
void run_group(const Sweep<Door>& sweep, Advance<Door> advance, Group<Door>& group,
               std::size_t begin) {
    const std::size_t bars = sweep.market.bars;
    const std::size_t block = block_bars(sweep.market.instruments);
    // Blocks begin at multiples of their length in the history, which measures rely on.
    for (std::size_t t = begin, end = 0; t < bars; t = end) {
        end = std::min(t + block - (sweep.past + t) % block, bars);
        for (std::size_t i = 0; i < group.count(); ++i) advance(sweep, group.tiles[i], t, end);
    }
    for (std::size_t i = 0; i < group.count(); ++i) {
        Tile<Door>& tile = group.tiles[i];
        write_totals(sweep, tile);
        if (sweep.results.trades != nullptr) {
            sweep.results.trades->add(std::move(tile.trades));
            tile.trades.clear();
        }
    }
}

}  // namespace windtunnel
