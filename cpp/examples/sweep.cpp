// A sweep without Python: 1,000 constant exposures to one made-up instrument.
//
// A program of one's own needs the include directory of the core and threads:
//     c++ -std=c++20 -O2 -ffp-contract=off -I cpp/include cpp/examples/sweep.cpp -pthread
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "windtunnel/engine.hpp"

int main() {
    constexpr std::size_t kBars = 2000;
    constexpr std::size_t kConfigurations = 1000;

    // A price that rises by 5 % a year and swings around that; it opens where it closed.
    std::vector<double> close(kBars);
    for (std::size_t t = 0; t < kBars; ++t) {
        const double bar = static_cast<double>(t);
        close[t] = 100.0 * std::exp(0.0002 * bar + 0.4 * std::sin(bar / 40.0));
    }
    std::vector<double> open(close);
    for (std::size_t t = 1; t < kBars; ++t) open[t] = close[t - 1];
    const std::vector<std::uint8_t> tradable(kBars, 1);
    windtunnel::PanelView panel;
    panel.open = open.data();
    panel.close = close.data();
    panel.tradable = tradable.data();
    panel.bars = kBars;
    panel.instruments = 1;

    // Exposures (T, N, C) with the configuration as the last axis: from 0 to 10 times the equity.
    std::vector<float> exposures(kBars * kConfigurations);
    for (std::size_t i = 0; i < exposures.size(); ++i) {
        exposures[i] = 0.01F * static_cast<float>(i % kConfigurations);
    }
    const std::vector<double> band(kConfigurations, 0.05);
    const windtunnel::Exposures<float> door{exposures.data(), band.data(), kConfigurations};

    windtunnel::Terms terms;
    terms.fee = 0.0001;
    terms.half_spread = 0.0002;
    terms.financing_apr = 0.03;
    terms.periods_per_year = 252.0;
    terms.initial_cash = 100'000.0;
    terms.maintenance = 0.15;

    // Equity is not kept: the totals are enough to find the best.
    std::vector<double> final_equity(kConfigurations), turnover(kConfigurations),
        costs(kConfigurations), financing(kConfigurations), exposure(kConfigurations),
        peak(kConfigurations);
    std::vector<std::int64_t> fills(kConfigurations), dropped(kConfigurations),
        liquidated(kConfigurations);
    windtunnel::Results results;
    results.final_equity = final_equity.data();
    results.turnover = turnover.data();
    results.costs = costs.data();
    results.financing = financing.data();
    results.exposure = exposure.data();
    results.peak_input = peak.data();
    results.fills = fills.data();
    results.dropped = dropped.data();
    results.liquidated = liquidated.data();
    windtunnel::run(door, panel, terms, results, 2);

    std::size_t best = 0;
    std::size_t broken = 0;
    for (std::size_t c = 0; c < kConfigurations; ++c) {
        if (final_equity[c] > final_equity[best]) best = c;
        if (liquidated[c] >= 0) ++broken;
    }
    std::printf("best exposure %.2f: %.0f after %lld fills and %.0f of costs\n",
                0.01 * static_cast<double>(best), final_equity[best],
                static_cast<long long>(fills[best]), costs[best]);
    std::printf("%zu of %zu configurations were liquidated\n", broken, kConfigurations);
    // Without exposure nothing happens, and too much of it loses.
    const bool sane = final_equity[0] == terms.initial_cash && best > 0 &&
                      final_equity[best] > final_equity[kConfigurations - 1];
    return sane ? 0 : 1;
}
