// One small world made from bytes: a market, terms, and what is traded in it. Everything is valid
// by the rules that the core's callers keep; within them it is as extreme as bytes can make it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "bytes.hpp"
#include "windtunnel/engine.hpp"

inline constexpr double kOff = std::numeric_limits<double>::infinity();
inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Case {
    std::size_t bars, instruments, configurations;
    std::vector<double> open, high, low, close, volume, half_spread;
    std::vector<std::uint8_t> tradable;
    bool spread_a_bar;
    windtunnel::Terms terms;
    std::vector<double> loss, profit, trailing, longest;  // stops, one a configuration
    std::vector<double> band;
    std::mt19937_64 random;  // for arrays too long for the bytes

    explicit Case(Bytes& bytes)
        : bars(bytes.between(1, 220)),  // some three whole blocks
          instruments(bytes.between(1, 3)),
          configurations(bytes.between(1, 37)),
          spread_a_bar(bytes.flag()),
          random(bytes.seed()) {
        draw_terms(bytes);
        draw_configurations(bytes);
        draw_prices(bytes);
    }

    // Terms that return arithmetic knows, and none with interest where they are `calm`.
    void keep_to_returns(bool calm) {
        const windtunnel::Terms drawn = terms;
        terms = {};
        terms.by_returns = true;
        terms.fee = drawn.fee;
        terms.half_spread = drawn.half_spread;
        terms.borrow_apr = calm ? 0.0 : drawn.borrow_apr;
        terms.financing_apr = calm ? 0.0 : drawn.financing_apr;
        terms.periods_per_year = drawn.periods_per_year;
        terms.initial_cash = drawn.initial_cash;
        terms.fill =
            drawn.fill == windtunnel::Fill::next_open ? windtunnel::Fill::next_close : drawn.fill;
        spread_a_bar = false;
    }

    // The panel from bar `first` to before bar `last`, with the columns that are asked for.
    windtunnel::PanelView view(std::size_t first, std::size_t last, bool with_extremes) const {
        const std::size_t at = first * instruments;
        windtunnel::PanelView panel{open.data() + at, close.data() + at, tradable.data() + at,
                                    last - first, instruments};
        panel.volume = volume.data() + at;
        panel.half_spread = spread_a_bar ? half_spread.data() + at : nullptr;
        panel.high = with_extremes ? high.data() + at : nullptr;
        panel.low = with_extremes ? low.data() + at : nullptr;
        return panel;
    }

    windtunnel::StopParameters stops() const {
        const auto entries = [](const std::vector<double>& of) {
            return of.empty() ? nullptr : of.data();
        };
        return {entries(loss), entries(profit), entries(trailing), entries(longest)};
    }

    template <class Number>
    std::vector<Number> draw_many(std::size_t count, std::initializer_list<double> palette) {
        std::vector<Number> values(count);
        for (Number& value : values) {
            value = static_cast<Number>(palette.begin()[random() % palette.size()]);
        }
        return values;
    }

  private:
    double off_or(double value) { return random() % 4 == 0 ? kOff : value; }
    double draw_whole(std::uint64_t most) { return 1.0 + static_cast<double>(random() % most); }

    void draw_terms(Bytes& bytes) {
        terms.fill = static_cast<windtunnel::Fill>(bytes.between(0, 2));
        terms.fee = bytes.one_of({0.0, 0.0001, 0.01, 0.5});
        terms.half_spread = bytes.one_of({0.0, 0.0002, 0.02, 0.4});
        terms.borrow_apr = bytes.one_of({0.0, 0.05, 3.0});
        terms.financing_apr = bytes.one_of({0.0, 0.05, 3.0});
        terms.periods_per_year = bytes.one_of({1.0, 12.0, 252.0});
        terms.initial_cash = bytes.one_of({1e-3, 1.0, 1e5, 1e9});
        terms.maintenance = bytes.one_of({0.0, 0.1, 0.9});
        if (bytes.flag()) return;  // plain terms have a loop of their own
        terms.fee_per_unit = bytes.one_of({0.0, 1e-6, 0.01, 10.0});
        terms.minimum_fee = bytes.one_of({0.0, 1e-6, 1.0, 1e3});
        terms.impact = bytes.one_of({0.0, 0.1, 5.0});
        terms.participation = bytes.one_of({kOff, 1.0, 0.1, 1e-3});
        terms.lot_size = bytes.one_of({0.0, 1e-3, 1.0, 100.0});
    }

    void draw_configurations(Bytes& bytes) {
        const bool with_loss = bytes.flag(), with_profit = bytes.flag();
        const bool with_trailing = bytes.flag(), with_longest = bytes.flag();
        const double size = 0.001 + 0.3 * bytes.share();
        const auto sizes = [&](bool wanted) {
            std::vector<double> values(wanted ? configurations : 0);
            for (double& value : values) value = off_or(size * draw_whole(5));
            return values;
        };
        loss = sizes(with_loss);
        profit = sizes(with_profit);
        trailing = sizes(with_trailing);
        longest.resize(with_longest ? configurations : 0);
        for (double& value : longest) value = off_or(draw_whole(6));
        band = draw_many<double>(configurations, {0.0, 0.02, 0.5});
    }

    void draw_prices(Bytes& bytes) {
        const std::size_t count = bars * instruments;
        const bool has_holes = bytes.flag();  // whole blocks of bars without any go another way
        open.assign(count, kNone);
        high = low = close = volume = half_spread = open;
        tradable.assign(count, 0);
        std::vector<double> last(instruments);
        for (double& price : last) price = std::pow(10.0, 16.0 * bytes.share() - 8.0);
        for (std::size_t i = 0; i < count; ++i) {
            double& price = last[i % instruments];
            const std::uint8_t kind = bytes.next();
            if (has_holes && kind % 8 == 1) continue;  // no bar
            open[i] = price * bytes.step();
            close[i] = price = open[i] * bytes.step();
            const double wick = kind % 16 / 64.0;
            high[i] = std::max(open[i], close[i]) * (1.0 + wick);
            low[i] = std::min(open[i], close[i]) * (1.0 - wick);
            half_spread[i] = 0.4 * bytes.share() * bytes.share();
            tradable[i] = !has_holes || kind % 8 != 2;
            if (tradable[i] != 0) volume[i] = terms.initial_cash / price * (0.01 + kind);
        }
    }
};
