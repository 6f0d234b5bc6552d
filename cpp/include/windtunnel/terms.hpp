// The terms under which a sweep trades: costs, financing, capital, and when orders fill.
#pragma once

#include <cstddef>
#include <limits>

namespace windtunnel {

// Which price a decision made with bar t's close gets.
enum class Fill { next_open, next_close, same_close };

// Bars between a decision and its fill.
constexpr std::size_t delay(Fill fill) {
    return fill == Fill::same_close ? 0 : 1;
}

// A number of lots this close to a whole one, as a fraction of it, is that: it was whole before
// the divisions that led to it were rounded.
inline constexpr double kWholeTolerance = 1e-9;

struct Terms {
    double fee = 0.0;             // fraction of traded value
    double half_spread = 0.0;     // fraction of traded value, a cost rather than a changed price
    double borrow_apr = 0.0;      // yearly, on the value of short positions
    double financing_apr = 0.0;   // yearly, on negative cash
    double periods_per_year = 1;  // bars a year
    double initial_cash = 1.0;
    double maintenance = 0.0;  // liquidate at this fraction of gross position value
    Fill fill = Fill::next_open;
    double fee_per_unit = 0.0;  // currency a unit
    double minimum_fee = 0.0;   // currency an order, of both fees together
    double impact = 0.0;        // fraction of value at a fill of the bar's whole volume
    double participation = std::numeric_limits<double>::infinity();  // most of a bar's volume
    double lot_size = 0.0;  // units come in multiples of it; 0 is any number of them

    // Exposure x return minus cost x turnover in place of units and cash; for exposures, on plain
    // terms without a maintenance level.
    bool by_returns = false;

    // Whether an order costs its rate and nothing else, and fills whole.
    bool plain() const {
        return fee_per_unit == 0.0 && minimum_fee == 0.0 && impact == 0.0 && lot_size == 0.0 &&
               participation == std::numeric_limits<double>::infinity();
    }
    double trading_rate() const { return fee + half_spread; }
    double borrow_rate() const { return borrow_apr / periods_per_year; }
    double financing_rate() const { return financing_apr / periods_per_year; }
    bool charges_interest() const { return borrow_rate() > 0.0 || financing_rate() > 0.0; }
};

}  // namespace windtunnel
