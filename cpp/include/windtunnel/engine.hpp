// The engine's two front doors: target exposures, and scores with policies.
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

// Runs every configuration of `source` over the panel. Arrays have been checked by the caller:
// prices are positive where there is a bar, columns lie inside the scores.
template <class Source>
void run(const Source& source, std::size_t configurations, const PanelView& panel,
         const Terms& terms, const Results& results, std::size_t threads) {
    const Market market(panel, terms.fill);
    const Sweep<Source> sweep{source, market, terms, results, configurations};
    const Advance<Source> step = choose_advance<Source>(instruction_set());
    // Groups small enough for every thread to have one; lanes do not know their group.
    const std::size_t tiles = (configurations + kLanes - 1) / kLanes;
    const std::size_t workers = std::max<std::size_t>(threads, 1);
    const std::size_t group_tiles =
        std::clamp<std::size_t>((tiles + workers - 1) / workers, 1, kGroupTiles);
    const std::size_t group = group_tiles * kLanes;
    parallel_for((configurations + group - 1) / group, workers, [&](std::size_t i) {
        const std::size_t first = i * group;
        run_group(sweep, step, first, std::min(group, configurations - first));
    });
}

template <class Number>
void run_exposures(const Exposures<Number>& exposures, const PanelView& panel, const Terms& terms,
                   const Results& results, std::size_t threads) {
    run(exposures, exposures.configurations, panel, terms, results, threads);
}

inline void run_policy(const Policies& policies, const PanelView& panel, const Terms& terms,
                       const Results& results, std::size_t threads) {
    run(policies, policies.count(), panel, terms, results, threads);
}

}  // namespace windtunnel
