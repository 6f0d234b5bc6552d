// What holds in every world. A violation says what it is and aborts, so that a fuzzer keeps the
// input.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "run.hpp"

inline void require(bool holds, const char* what, std::size_t configuration = 0,
                    std::size_t bar = 0) {
    if (holds) return;
    std::fprintf(stderr, "violated: %s (configuration %zu, bar %zu)\n", what, configuration, bar);
    std::abort();
}

template <class Number>
bool same_bits(const std::vector<Number>& a, const std::vector<Number>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Number)) == 0);
}

inline void require_same_totals(const Found& a, const Found& b, const char* what) {
    require(same_bits(a.equity, b.equity) && same_bits(a.final_equity, b.final_equity) &&
                same_bits(a.turnover, b.turnover) && same_bits(a.costs, b.costs) &&
                same_bits(a.metrics, b.metrics) && same_bits(a.financing, b.financing) &&
                same_bits(a.exposure, b.exposure) && a.fills == b.fills && a.dropped == b.dropped &&
                a.liquidated == b.liquidated && a.capped == b.capped && a.ambiguous == b.ambiguous,
            what);
}

inline void require_finite(const Found& found) {
    for (const auto* each : {&found.equity, &found.final_equity, &found.turnover, &found.costs,
                             &found.financing, &found.exposure}) {
        require(std::ranges::all_of(*each, [](double x) { return std::isfinite(x); }), "finite");
    }
}

// The metrics that one pass over the curve gives again.
inline void require_metrics(const Case& world, const Found& found) {
    const std::size_t C = found.configurations;
    for (std::size_t c = 0; c < C; ++c) {
        const windtunnel::Metrics& m = found.metrics[c];
        double peak = world.terms.initial_cash, before = peak, deepest = 0.0, under = 0.0;
        double longest = 0.0, up = 0.0, moved = 0.0;
        bool alive = true;
        for (std::size_t t = 0; t < found.bars; ++t) {
            const double now = found.equity[t * C + c];
            peak = std::fmax(peak, now);
            under = now < peak ? under + 1.0 : 0.0;
            longest = std::fmax(longest, under);
            deepest = std::fmax(deepest, (peak - now) * (1.0 / peak));  // as the engine has it
            const double gain = alive ? (now - before) / before : 0.0;
            up += gain > 0.0 ? 1.0 : 0.0;
            moved += gain != 0.0 ? 1.0 : 0.0;
            alive = alive && now > 0.0;
            before = now;
        }
        require(m.total_return == before / world.terms.initial_cash - 1.0, "total return", c);
        require(m.max_drawdown == deepest, "drawdown", c);
        require(m.max_drawdown_bars == longest, "longest drawdown", c);
        require(moved == 0.0 ? std::isnan(m.hit_rate) : m.hit_rate == up / moved, "hit rate", c);
        for (const double value : {m.cagr, m.volatility, m.sharpe, m.sortino, m.calmar,
                                   m.profit_factor, m.skewness, m.kurtosis}) {
            require(!std::isinf(value), "no infinite metric", c);
        }
        require(std::isnan(m.volatility) || m.volatility >= 0.0, "volatility", c);
    }
}

// Rebuilds the accounts from the log: cash and positions are the equity at every close, what cash
// lost besides fills is the financing, and what fills cost are the costs.
inline void require_ledger(const Case& world, const Found& found) {
    const std::size_t N = world.instruments, C = found.configurations;
    auto trade = found.trades.begin();
    for (std::size_t c = 0; c < C; ++c) {
        std::vector<double> units(N, 0.0), mark(N, 1.0);
        double before = world.terms.initial_cash, paid = 0.0, charged = 0.0, passed = before;
        std::int64_t fills = 0;
        for (std::size_t t = 0; t < found.bars; ++t) {
            double spent = 0.0;
            for (; trade != found.trades.end() &&
                   trade->configuration == static_cast<std::int64_t>(c) &&
                   trade->bar == static_cast<std::int64_t>(t);
                 ++trade) {
                const auto n = static_cast<std::size_t>(trade->instrument);
                require(n < N, "a trade in an instrument of the panel", c, t);
                require(trade->cost >= 0.0, "no cost below zero", c, t);
                spent += trade->change * trade->price + trade->cost;
                passed += std::fabs(trade->change * trade->price) + trade->cost;
                paid += trade->cost;
                units[n] = trade->units;
                ++fills;
            }
            const double cash = found.cash[t * C + c];
            double equity = cash, gross = std::fabs(cash);
            for (std::size_t n = 0; n < N; ++n) {
                const double close = world.close[t * N + n];
                if (!std::isnan(close)) mark[n] = close;
                equity += units[n] * mark[n];
                gross += std::fabs(units[n] * mark[n]);
            }
            passed += gross;
            require(std::fabs(equity - found.equity[t * C + c]) <= 1e-9 * gross,
                    "cash and positions are the equity", c, t);
            const double charge = before - spent - cash;
            require(charge >= -1e-9 * passed, "financing takes", c, t);
            charged += charge;
            before = cash;
        }
        require(fills == found.fills[c], "as many trades as fills", c);
        require(std::fabs(paid - found.costs[c]) <= 1e-9 * passed, "costs of the log", c);
        require(std::fabs(charged - found.financing[c]) <= 1e-9 * passed, "financing", c);
    }
    require(trade == found.trades.end(), "trades in order of configuration and bar");
}

// The log takes the loop with every rule. A liquidation adds up the costs of its orders there, and
// takes them from their sum in the plain loop: that may be another last bit.
inline void require_same_without_log(const Found& bare, const Found& logged) {
    const std::size_t C = bare.configurations;
    require(bare.fills == logged.fills && bare.liquidated == logged.liquidated,
            "the log changes no count");
    for (std::size_t i = 0; i < bare.equity.size(); ++i) {
        const double cost = logged.liquidated[i % C] < 0 ? 0.0 : logged.costs[i % C];
        require(std::fabs(bare.equity[i] - logged.equity[i]) <= 1e-9 * cost,
                "the log changes nothing", i % C, i / C);
    }
}

template <class OpenDoor>
void check_case(const Case& world, const OpenDoor& open_door, bool with_extremes, std::size_t cut) {
    const Found logged = run_case(world, open_door, with_extremes, true, 1);
    require_finite(logged);
    require_metrics(world, logged);
    require_ledger(world, logged);

    const Found threaded = run_case(world, open_door, with_extremes, true, 3);
    require_same_totals(threaded, logged, "the same bits with three threads");
    require(same_bits(threaded.cash, logged.cash) && same_bits(threaded.trades, logged.trades),
            "the same log with three threads");

    const Found bare = run_case(world, open_door, with_extremes, false, 1);
    require_same_without_log(bare, logged);

    if (cut == 0) return;
    for (const bool with_log : {false, true}) {
        Found pieces = run_in_pieces(world, open_door, with_extremes, with_log, cut);
        require_same_totals(pieces, with_log ? logged : bare, "two pieces are the whole");
        std::ranges::stable_sort(pieces.trades, {}, &windtunnel::Trade::configuration);
        require(!with_log || same_bits(pieces.trades, logged.trades), "two logs are the whole");
    }
}
