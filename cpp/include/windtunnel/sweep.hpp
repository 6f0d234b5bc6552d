// The sweep: time streams past a tile of configurations once, everything fused.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "windtunnel/account.hpp"
#include "windtunnel/instruction_set.hpp"
#include "windtunnel/lanes.hpp"
#include "windtunnel/market.hpp"
#include "windtunnel/results.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

// Bars a tile advances before its neighbour takes over: a page of (T, N, C) input then serves
// several tiles while it is still in the cache.
inline constexpr std::size_t kBlockBars = 16;

// Tiles that one thread advances together through time.
inline constexpr std::size_t kGroupTiles = 16;

template <class Source>
struct Sweep {
    const Source& source;
    const Market& market;
    const Terms& terms;
    const Results& results;
    std::size_t configurations;

    struct Tile {
        Account account;
        typename Source::Tile source;
        Lane* units;
        Lane* signals;
        std::size_t first;  // slot of lane 0; the source says which configuration sits in a slot
        std::size_t width;
        bool in_order;  // lanes are neighbouring configurations, so that rows can be copied whole
    };
};

template <class Source>
WINDTUNNEL_INLINE void write_equity(const Sweep<Source>& sweep,
                                    const typename Sweep<Source>::Tile& tile, std::size_t t) {
    double* row = sweep.results.equity + t * sweep.configurations;
    if (tile.in_order && tile.width == kLanes) {
        double* to = row + sweep.source.lane_configuration(tile.first);
        for (std::size_t l = 0; l < kLanes; ++l) to[l] = tile.account.equity[l];
        return;
    }
    for (std::size_t l = 0; l < tile.width; ++l) {
        row[sweep.source.lane_configuration(tile.first + l)] = tile.account.equity[l];
    }
}

// Bars [first, last) of one tile.
template <class Source>
WINDTUNNEL_INLINE void advance(const Sweep<Source>& sweep, typename Sweep<Source>::Tile& tile,
                               std::size_t first, std::size_t last) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const std::size_t lag = delay(sweep.terms.fill);
    const std::size_t instruments = market.instruments;
    Account& a = tile.account;
    Lane capital;
    Lane target;
    Lane traded;
    Lane gross;
    for (std::size_t t = first; t < last; ++t) {
        const double* price = market.fill_price.data() + t * instruments;
        const double* mark = market.mark.data() + t * instruments;
        const std::uint8_t* tradable = market.tradable.data() + t * instruments;
        if (t > 0) charge_financing(a, rates);
        if (t >= lag) {
            const std::size_t decided = t - lag;
            value_at(a, tile.units, price, instruments, capital);
            traded.fill(0.0);
            sweep.source.begin_bar(tile.source, market.listed_count[decided]);
            for (std::size_t n = 0; n < instruments; ++n) {
                if (!sweep.source.decide(tile.source, a, tile.signals, market, decided, n,
                                         target)) {
                    continue;
                }
                if (tradable[n]) {
                    fill_orders(a, tile.units[n], target, capital, price[n], rates, traded);
                } else {
                    drop_orders(a, tile.units[n], target, capital, price[n]);
                }
            }
            add_turnover(a, traded, capital);
        }
        if (mark_to_close(a, tile.units, mark, instruments, rates, gross)) {
            liquidate(a, tile.units, instruments, rates, gross, t);
        }
        if (sweep.results.equity != nullptr) write_equity(sweep, tile, t);
    }
}

// The same code compiled for each instruction set. Lanes do one IEEE operation after the other
// at any width, so the levels agree bit for bit.
template <class Source>
void advance_baseline(const Sweep<Source>& sweep, typename Sweep<Source>::Tile& tile,
                      std::size_t first, std::size_t last) {
    advance(sweep, tile, first, last);
}
#if defined(WINDTUNNEL_X86_LEVELS)
template <class Source>
WINDTUNNEL_TARGET_AVX2 void advance_avx2(const Sweep<Source>& sweep,
                                         typename Sweep<Source>::Tile& tile, std::size_t first,
                                         std::size_t last) {
    advance(sweep, tile, first, last);
}
template <class Source>
WINDTUNNEL_TARGET_AVX512 void advance_avx512(const Sweep<Source>& sweep,
                                             typename Sweep<Source>::Tile& tile, std::size_t first,
                                             std::size_t last) {
    advance(sweep, tile, first, last);
}
#endif

template <class Source>
using Advance = void (*)(const Sweep<Source>&, typename Sweep<Source>::Tile&, std::size_t,
                         std::size_t);

template <class Source>
Advance<Source> choose_advance(InstructionSet level) {
#if defined(WINDTUNNEL_X86_LEVELS)
    if (level == InstructionSet::avx512) return advance_avx512<Source>;
    if (level == InstructionSet::avx2) return advance_avx2<Source>;
#endif
    (void)level;
    return advance_baseline<Source>;
}

template <class Source>
void write_totals(const Sweep<Source>& sweep, const typename Sweep<Source>::Tile& tile) {
    const Account& a = tile.account;
    const double bars = static_cast<double>(sweep.market.bars);
    for (std::size_t l = 0; l < tile.width; ++l) {
        const std::size_t c = sweep.source.lane_configuration(tile.first + l);
        sweep.results.final_equity[c] = a.equity[l];
        sweep.results.turnover[c] = a.turnover[l];
        sweep.results.costs[c] = a.costs[l];
        sweep.results.financing[c] = a.financing[l];
        sweep.results.exposure[c] = a.exposure[l] / bars;
        sweep.results.peak_input[c] = a.peak_input[l];
        sweep.results.fills[c] = static_cast<std::int64_t>(a.fills[l]);
        sweep.results.dropped[c] = static_cast<std::int64_t>(a.dropped[l]);
        sweep.results.liquidated[c] = static_cast<std::int64_t>(a.liquidated[l]);
    }
}

// One group of tiles from the first bar to the last.
template <class Source>
void run_group(const Sweep<Source>& sweep, Advance<Source> step, std::size_t first_slot,
               std::size_t slots) {
    using Tile = typename Sweep<Source>::Tile;
    const std::size_t instruments = sweep.market.instruments;
    const std::size_t signals = sweep.source.signals(instruments);
    const std::size_t tiles = (slots + kLanes - 1) / kLanes;
    const std::size_t lanes_a_tile = instruments + signals;
    const auto states = std::make_unique<Tile[]>(tiles);
    const auto memory = std::make_unique<Lane[]>(tiles * lanes_a_tile);  // zeroed: flat, no units
    for (std::size_t i = 0; i < tiles; ++i) {
        Tile& tile = states[i];
        tile.first = first_slot + i * kLanes;
        tile.width = std::min(kLanes, slots - i * kLanes);
        tile.units = memory.get() + i * lanes_a_tile;
        tile.signals = tile.units + instruments;
        tile.in_order = true;
        for (std::size_t l = 1; l < tile.width; ++l) {
            tile.in_order = tile.in_order && sweep.source.lane_configuration(tile.first + l) ==
                                                 sweep.source.lane_configuration(tile.first) + l;
        }
        tile.account.start(sweep.terms.initial_cash);
        sweep.source.start(tile.source, tile.account, tile.first, tile.width);
    }
    for (std::size_t t = 0; t < sweep.market.bars; t += kBlockBars) {
        const std::size_t end = std::min(t + kBlockBars, sweep.market.bars);
        for (std::size_t i = 0; i < tiles; ++i) step(sweep, states[i], t, end);
    }
    for (std::size_t i = 0; i < tiles; ++i) write_totals(sweep, states[i]);
}

}  // namespace windtunnel
