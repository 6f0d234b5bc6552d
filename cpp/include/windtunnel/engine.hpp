// The engine: every configuration of a front door over a panel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "windtunnel/exposures.hpp"
#include "windtunnel/instruction_set.hpp"
#include "windtunnel/market.hpp"
#include "windtunnel/parallel.hpp"
#include "windtunnel/policies.hpp"
#include "windtunnel/results.hpp"
#include "windtunnel/rules.hpp"
#include "windtunnel/signals.hpp"
#include "windtunnel/sweep.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

// A sweep whose history comes in pieces: the state between them.
template <class Door>
struct Progress {
    std::vector<Group<Door>> groups;
    LastKnown last;
    std::size_t bars = 0;
    std::size_t instruments = 0;
    std::size_t configurations = 0;
};

// Highs and lows that no stop looks at make a market neither more detailed nor slower.
template <class Door>
PanelView seen_by(const Door& door, PanelView panel) {
    if (!door.has_stops()) {
        panel.high = panel.low = nullptr;
    } else if (panel.high == nullptr || panel.low == nullptr) {
        throw std::invalid_argument("high, low: stops need both");
    }
    return panel;
}

template <class Door>
Rules choose_rules(const PanelView& panel, const Terms& terms, const Results& results,
                   const Market& market) {
    if (terms.by_returns) {
        if (market.detailed() || terms.maintenance != 0.0 || terms.fill == Fill::next_open) {
            throw std::invalid_argument(
                "by_returns: takes orders at closes, proportional costs and no maintenance level");
        }
        return Rules::returns;
    }
    if (!market.detailed()) return Rules::plain;
    const bool only_stops = terms.plain() && panel.half_spread == nullptr &&
                            results.trades == nullptr && panel.instruments == 1;
    return only_stops && std::is_same_v<Door, Signals> ? Rules::stops : Rules::detailed;
}

// `door` is Exposures<float>, Exposures<double>, Policies or Signals. Arrays have been checked by
// the caller: prices are positive where there is a bar, columns lie inside the scores.
//
// With `progress` the history goes on where the last call with it ended: panel and door then begin
// with the last bar of the piece before, whose decision fills now and whose results are not
// written again. Everything else must stay as it was.
template <class Door>
void run(const Door& door, const PanelView& given, const Terms& terms, const Results& results,
         std::size_t threads, Progress<Door>* progress = nullptr) {
    const PanelView panel = seen_by(door, given);
    Progress<Door> whole;
    Progress<Door>& state = progress == nullptr ? whole : *progress;
    const std::size_t begin = state.bars == 0 ? 0 : 1;
    const std::size_t configurations = door.count();
    if (begin == 1 &&
        (state.configurations != configurations || state.instruments != panel.instruments)) {
        throw std::invalid_argument("progress: configurations and instruments must stay the same");
    }
    if (begin == 1 && results.metrics != nullptr && !state.groups.empty() &&
        state.groups.front().measured == nullptr) {
        throw std::invalid_argument("progress: metrics must be wanted from the first piece on");
    }
    const Market market(panel, terms, results.trades != nullptr, state.last);
    const Sweep<Door> sweep{door, market, terms, results, state.bars - begin};
    const Rules rules = choose_rules<Door>(panel, terms, results, market);
    const Advance<Door> advance = choose_advance<Door>(instruction_set(), rules);
    const std::size_t workers = std::max<std::size_t>(threads, 1);
    if (begin == 0) {
        // Groups small enough for every thread to have one; lanes do not know their group.
        const std::size_t tiles = (configurations + kLanes - 1) / kLanes;
        const std::size_t tiles_a_group =
            std::clamp<std::size_t>((tiles + workers - 1) / workers, 1, kGroupTiles);
        const std::size_t size = tiles_a_group * kLanes;
        state.configurations = configurations;
        state.instruments = panel.instruments;
        state.groups.resize((configurations + size - 1) / size);
        for (std::size_t i = 0; i < state.groups.size(); ++i) {
            state.groups[i].first = i * size;
            state.groups[i].slots = std::min(size, configurations - i * size);
        }
    }
    parallel_for(state.groups.size(), workers, [&](std::size_t i) {
        if (begin == 0) open_group(sweep, state.groups[i]);
        run_group(sweep, advance, state.groups[i], begin);
        // Nothing comes after a whole history: the state of a group need not wait for the others.
        if (progress == nullptr) state.groups[i] = {};
    });
    state.bars = sweep.past + market.bars;
    if (progress != nullptr) state.last = market.at_end();
}

}  // namespace windtunnel
