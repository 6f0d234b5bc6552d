// A case run through the engine, in one piece or two, with or without the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "case.hpp"

struct Found {
    std::vector<double> equity, cash;  // (T, C)
    std::vector<double> final_equity, turnover, costs, financing, exposure, peak_input;
    std::vector<std::int64_t> fills, dropped, liquidated, capped, ambiguous;
    std::vector<windtunnel::Trade> trades;
    std::vector<windtunnel::Metrics> metrics;
    std::size_t bars, configurations;

    Found(std::size_t T, std::size_t C)
        : equity(T * C, kNone), cash(T * C, kNone), bars(T), configurations(C) {
        for (auto* each : {&final_equity, &turnover, &costs, &financing, &exposure, &peak_input}) {
            each->assign(C, kNone);
        }
        metrics.resize(C);
        for (auto* each : {&fills, &dropped, &liquidated, &capped, &ambiguous}) each->assign(C, -9);
    }

    // Results from bar `first` on.
    windtunnel::Results results(std::size_t first, windtunnel::TradeLog* log) {
        windtunnel::Results to;
        to.equity = equity.data() + first * configurations;
        to.final_equity = final_equity.data();
        to.turnover = turnover.data();
        to.costs = costs.data();
        to.financing = financing.data();
        to.exposure = exposure.data();
        to.peak_input = peak_input.data();
        to.fills = fills.data();
        to.dropped = dropped.data();
        to.liquidated = liquidated.data();
        to.capped = capped.data();
        to.ambiguous = ambiguous.data();
        to.metrics = metrics.data();
        to.trades = log;
        to.cash = log == nullptr ? nullptr : cash.data() + first * configurations;
        return to;
    }
};

// `open_door(first_bar)` gives the front door as it begins at a bar.
template <class OpenDoor>
Found run_case(const Case& world, const OpenDoor& open_door, bool with_extremes, bool with_log,
               std::size_t threads) {
    Found found(world.bars, world.configurations);
    windtunnel::TradeLog log;
    windtunnel::run(open_door(0), world.view(0, world.bars, with_extremes), world.terms,
                    found.results(0, with_log ? &log : nullptr), threads);
    found.trades = log.sorted();
    return found;
}

// The same history in two pieces, the second of which begins at bar `cut`, at least 1. The trades
// are those of the first piece, then those of the second.
template <class OpenDoor>
Found run_in_pieces(const Case& world, const OpenDoor& open_door, bool with_extremes, bool with_log,
                    std::size_t cut) {
    Found found(world.bars, world.configurations);
    const auto door = open_door(0);
    windtunnel::Progress<std::remove_const_t<decltype(door)>> progress;
    windtunnel::TradeLog first, second;
    windtunnel::run(door, world.view(0, cut, with_extremes), world.terms,
                    found.results(0, with_log ? &first : nullptr), 2, &progress);
    windtunnel::run(open_door(cut - 1), world.view(cut - 1, world.bars, with_extremes), world.terms,
                    found.results(cut - 1, with_log ? &second : nullptr), 2, &progress);
    found.trades = first.sorted();
    const auto& more = second.sorted();
    found.trades.insert(found.trades.end(), more.begin(), more.end());
    return found;
}
