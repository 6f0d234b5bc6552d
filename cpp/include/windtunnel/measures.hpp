// What a sweep measures of each equity curve while it walks: drawdown, moments, gains and losses.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "windtunnel/lanes.hpp"

namespace windtunnel {

// Bars that are measured together, once their equity is known.
inline constexpr std::size_t kMeasuredBars = 64;

// `Values` is Lane at rest and a level's Row at work.
template <class Values>
struct Measures {
    Values peak;              // highest equity so far, the initial capital included
    Values by_peak;           // one over it
    Values under;             // bars since then
    Values longest;           // most of them
    Values deepest;           // largest fall from the peak, as a fraction of it
    Values up, down;          // bars with a gain, with a loss
    Values gains, losses;     // sums of positive and of negative returns
    Values downside;          // sum of squares of negative returns
    Values mean, m2, m3, m4;  // mean return; sums of powers of deviations from it
    Values alive;             // 1 until equity first is at or below zero, then 0
};

// Measures of a tile, and the bars that wait to be measured: row 0 is the bar before.
struct MeasuredTile {
    Measures<Lane> so_far;
    Lane equity[kMeasuredBars + 1];
    std::size_t waiting = 0;
    std::size_t measured = 0;
    bool may_be_ruined = false;  // an equity at or below zero is among them

    void open(double initial_cash) {
        so_far = {};
        so_far.peak.fill(initial_cash);
        so_far.by_peak.fill(1.0 / initial_cash);
        so_far.alive.fill(1.0);
        equity[0].fill(initial_cash);
        waiting = measured = 0;
        may_be_ruined = false;
    }
};

// The metrics of one curve, by the names of windtunnel.metrics.financial, which says what each of
// them is and when it is undefined, hence NaN.
struct Metrics {
    double total_return, cagr, volatility, sharpe, sortino, calmar;
    double max_drawdown, max_drawdown_bars, hit_rate, profit_factor, skewness, kurtosis;
};

inline constexpr const char* kMetricNames[] = {
    "total_return", "cagr",          "volatility",   "sharpe",
    "sortino",      "calmar",        "max_drawdown", "max_drawdown_bars",
    "hit_rate",     "profit_factor", "skewness",     "kurtosis"};

// Lane `l` after `bars` bars, with `last` the equity at the last.
inline Metrics conclude(const Measures<Lane>& of, std::size_t l, double last, std::size_t bars,
                        double initial, double periods_per_year) {
    constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
    // Rounding of a quotient of equities, in returns; four of them pass for no variation.
    constexpr double rounding = 4 * std::numeric_limits<double>::epsilon();
    const auto finite = [](double value) { return std::isfinite(value) ? value : undefined; };
    const double n = static_cast<double>(bars);
    const double year = std::sqrt(periods_per_year);
    Metrics to;
    const double growth = last / initial;
    to.total_return = growth - 1.0;
    to.cagr = of.alive[l] == 0.0 ? -1.0 : finite(std::pow(growth, periods_per_year / n) - 1.0);
    to.max_drawdown = of.deepest[l];
    to.max_drawdown_bars = of.longest[l];
    to.calmar = to.max_drawdown > rounding ? finite(to.cagr / to.max_drawdown) : undefined;
    const double moved = of.up[l] + of.down[l];
    to.hit_rate = moved > 0.0 ? of.up[l] / moved : undefined;
    const double mean = of.mean[l];
    const double m2 = std::max(of.m2[l], 0.0);
    // No return is larger than this, and none is larger than that by much where it matters.
    const double floor = rounding * (1.0 + std::sqrt(m2) + std::abs(mean));
    const double semideviation = std::sqrt(of.downside[l] / n);
    const bool loses = semideviation > floor;
    to.profit_factor = loses ? finite(of.gains[l] / -of.losses[l]) : undefined;
    to.volatility = to.sharpe = to.sortino = to.skewness = to.kurtosis = undefined;
    if (bars < 2) return to;
    const double deviation = std::sqrt(m2 / (n - 1.0));
    if (deviation > floor) {
        to.volatility = deviation * year;
        to.sharpe = mean / deviation * year;
        to.skewness = finite((of.m3[l] / n) / std::pow(m2 / n, 1.5));
        to.kurtosis = finite((of.m4[l] / n) / (m2 / n * (m2 / n)));
    } else {
        to.volatility = 0.0;
    }
    if (loses) to.sortino = mean / semideviation * year;
    return to;
}

}  // namespace windtunnel
