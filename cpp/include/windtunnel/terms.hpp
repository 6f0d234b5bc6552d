// The terms under which a sweep trades: costs, financing, capital, and when orders fill.
#pragma once

#include <cstddef>

namespace windtunnel {

// Which price a decision made with bar t's close gets.
enum class Fill { next_open, next_close, same_close };

// Bars between a decision and its fill.
constexpr std::size_t delay(Fill fill) {
    return fill == Fill::same_close ? 0 : 1;
}

struct Terms {
    double fee = 0.0;             // fraction of traded value
    double half_spread = 0.0;     // fraction of traded value, a cost rather than a changed price
    double borrow_apr = 0.0;      // yearly, on the value of short positions
    double financing_apr = 0.0;   // yearly, on negative cash
    double periods_per_year = 1;  // bars a year
    double initial_cash = 1.0;
    double maintenance = 0.0;  // liquidate at this fraction of gross position value
    Fill fill = Fill::next_open;

    double trading_rate() const { return fee + half_spread; }
    double borrow_rate() const { return borrow_apr / periods_per_year; }
    double financing_rate() const { return financing_apr / periods_per_year; }
};

}  // namespace windtunnel
