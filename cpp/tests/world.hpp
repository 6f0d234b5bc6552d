// Small markets and the memory that a sweep writes to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "windtunnel/engine.hpp"

inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct World {
    std::size_t bars;
    std::size_t instruments;
    std::vector<double> open;
    std::vector<double> close;
    std::vector<std::uint8_t> tradable;

    // One instrument, tradable wherever it has a bar.
    World(std::vector<double> opens, std::vector<double> closes)
        : bars(closes.size()),
          instruments(1),
          open(std::move(opens)),
          close(std::move(closes)),
          tradable(bars, 1) {}

    // Random walks, with missing and untradable bars unless told otherwise.
    World(std::uint32_t seed, std::size_t T, std::size_t N, bool has_holes = true)
        : bars(T), instruments(N), open(T * N), close(T * N), tradable(T * N) {
        std::mt19937 random(seed);
        std::normal_distribution<double> step(0.0, 0.05);
        std::vector<double> last(N, 100.0);
        for (std::size_t i = 0; i < T * N; ++i) {
            double& price = last[i % N];
            open[i] = price *= std::exp(step(random));
            close[i] = price *= std::exp(step(random));
            tradable[i] = random() % 8 != 0 || !has_holes;
            if (random() % 8 == 0 && has_holes) open[i] = close[i] = kNone;
        }
    }

    windtunnel::PanelView view() const {
        return {open.data(), close.data(), tradable.data(), bars, instruments};
    }
};

struct Output {
    std::size_t configurations;
    std::vector<double> equity, final_equity, turnover, costs, financing, exposure, peak_input;
    std::vector<std::int64_t> fills, dropped, liquidated;

    Output(std::size_t bars, std::size_t C)
        : configurations(C),
          equity(bars * C),
          final_equity(C),
          turnover(C),
          costs(C),
          financing(C),
          exposure(C),
          peak_input(C),
          fills(C),
          dropped(C),
          liquidated(C) {}

    windtunnel::Results results() {
        return {equity.data(),    final_equity.data(), turnover.data(),   costs.data(),
                financing.data(), exposure.data(),     peak_input.data(), fills.data(),
                dropped.data(),   liquidated.data()};
    }
};

// Target exposures (T, N, C) with one band for all.
template <class Number>
Output run_exposures(const World& world, const std::vector<Number>& exposures, double band,
                     const windtunnel::Terms& terms, std::size_t threads = 1) {
    const std::size_t C = exposures.size() / (world.bars * world.instruments);
    const std::vector<double> bands(C, band);
    Output output(world.bars, C);
    const windtunnel::Exposures<Number> door{exposures.data(), bands.data(), C};
    windtunnel::run(door, world.view(), terms, output.results(), threads);
    return output;
}
