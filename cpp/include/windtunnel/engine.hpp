// The engine: every configuration of a front door over a panel.
#pragma once

#include <algorithm>
#include <cstddef>

#include "windtunnel/exposures.hpp"
#include "windtunnel/instruction_set.hpp"
#include "windtunnel/market.hpp"
#include "windtunnel/parallel.hpp"
#include "windtunnel/policies.hpp"
#include "windtunnel/results.hpp"
#include "windtunnel/sweep.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

// `door` is Exposures<float>, Exposures<double> or Policies. Arrays have been checked by the
// caller: prices are positive where there is a bar, columns lie inside the scores.
template <class Door>
void run(const Door& door, const PanelView& panel, const Terms& terms, const Results& results,
         std::size_t threads) {
    const Market market(panel, terms, results.trades != nullptr);
    const Sweep<Door> sweep{door, market, terms, results};
    const Advance<Door> advance = choose_advance<Door>(instruction_set(), market.detailed());
    // Groups small enough for every thread to have one; lanes do not know their group.
    const std::size_t configurations = door.count();
    const std::size_t tiles = (configurations + kLanes - 1) / kLanes;
    const std::size_t workers = std::max<std::size_t>(threads, 1);
    const std::size_t tiles_a_group =
        std::clamp<std::size_t>((tiles + workers - 1) / workers, 1, kGroupTiles);
    const std::size_t group = tiles_a_group * kLanes;
    parallel_for((configurations + group - 1) / group, workers, [&](std::size_t i) {
        run_group(sweep, advance, i * group, std::min(group, configurations - i * group));
    });
}

}  // namespace windtunnel
