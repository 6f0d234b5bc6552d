// The accounts of a tile: cash, units and what has happened so far, one lane a configuration.
//
// The steps below are the rules of the engine. `windtunnel.backtest.oracle` states the same rules
// in plain Python, operation by operation in the same order: rounding included, both give the
// same numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "windtunnel/lanes.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

struct Account {
    Lane cash;
    Lane open;         // 1 until a liquidation closes the account, then 0
    Lane band;         // no order while the exposure is this near to its target
    Lane short_value;  // value of short positions at the last mark
    Lane equity;       // at the last mark
    Lane turnover;
    Lane costs;
    Lane financing;
    Lane exposure;
    Lane fills;  // counts are whole numbers in doubles: one lane width for all
    Lane dropped;
    Lane liquidated;
    Lane peak_input;

    void start(double initial_cash) {
        cash.fill(initial_cash);
        open.fill(1.0);
        band.fill(0.0);
        short_value.fill(0.0);
        equity.fill(initial_cash);
        turnover.fill(0.0);
        costs.fill(0.0);
        financing.fill(0.0);
        exposure.fill(0.0);
        fills.fill(0.0);
        dropped.fill(0.0);
        liquidated.fill(-1.0);
        peak_input.fill(0.0);
    }
};

// Rates a bar, divided out once.
struct Rates {
    double trading;
    double borrow;
    double financing;
    double maintenance;

    explicit Rates(const Terms& terms)
        : trading(terms.trading_rate()),
          borrow(terms.borrow_rate()),
          financing(terms.financing_rate()),
          maintenance(terms.maintenance) {}
};

// 1. Financing for the bar that passed: negative cash and short value, as they stood at its close.
WINDTUNNEL_INLINE void charge_financing(Account& a, const Rates& rates) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        const double debt = (a.cash[l] < 0.0) & (a.open[l] > 0.0) ? -a.cash[l] : 0.0;
        const double charge = debt * rates.financing + a.short_value[l] * rates.borrow;
        a.cash[l] -= charge;
        a.financing[l] += charge;
    }
}

// Equity before the orders of a bar; zero, hence no orders, once an account is closed.
WINDTUNNEL_INLINE void value_at(const Account& a, const Lane* units, const double* price,
                                std::size_t instruments, Lane& capital) {
    for (std::size_t l = 0; l < kLanes; ++l) capital[l] = a.cash[l];
    for (std::size_t n = 0; n < instruments; ++n) {
        const double price_n = price[n];
        for (std::size_t l = 0; l < kLanes; ++l) capital[l] += units[n][l] * price_n;
    }
    for (std::size_t l = 0; l < kLanes; ++l) capital[l] = a.open[l] > 0.0 ? capital[l] : 0.0;
}

// Whether a target asks for an order. A NaN target compares false throughout: no order.
WINDTUNNEL_INLINE bool wants_order(double target, double capital, double units, double price,
                                   double band) {
    const bool outside = magnitude(target * capital - units * price) > band * capital;
    const bool closes = (target == 0.0) & (units != 0.0);
    return (capital > 0.0) & (outside | closes);
}

// 2. Orders for one instrument fill at `price`; all of a bar are sized by the same capital.
WINDTUNNEL_INLINE void fill_orders(Account& a, Lane& units, const Lane& target, const Lane& capital,
                                   double price, const Rates& rates, Lane& traded) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        const bool order = wants_order(target[l], capital[l], units[l], price, a.band[l]);
        const double wanted = order ? target[l] * capital[l] / price : units[l];
        const double change = wanted - units[l];
        const double value = magnitude(change) * price;
        const double cost = value * rates.trading;
        a.cash[l] -= change * price + cost;
        a.costs[l] += cost;
        a.fills[l] += order ? 1.0 : 0.0;
        traded[l] += value;
        units[l] = wanted;
    }
}

// The same orders on a bar on which the instrument cannot trade: counted, then forgotten.
WINDTUNNEL_INLINE void drop_orders(Account& a, const Lane& units, const Lane& target,
                                   const Lane& capital, double price) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        const bool order = wants_order(target[l], capital[l], units[l], price, a.band[l]);
        a.dropped[l] += order ? 1.0 : 0.0;
    }
}

WINDTUNNEL_INLINE void add_turnover(Account& a, const Lane& traded, const Lane& capital) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        a.turnover[l] += capital[l] > 0.0 ? traded[l] / capital[l] : 0.0;
    }
}

// 3a. Mark to the close; true when some lane must be liquidated.
WINDTUNNEL_INLINE bool mark_to_close(Account& a, const Lane* units, const double* mark,
                                     std::size_t instruments, const Rates& rates, Lane& gross) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        a.equity[l] = a.cash[l];
        a.short_value[l] = 0.0;
        gross[l] = 0.0;
    }
    for (std::size_t n = 0; n < instruments; ++n) {
        const double mark_n = mark[n];
        for (std::size_t l = 0; l < kLanes; ++l) {
            const double value = units[n][l] * mark_n;
            a.equity[l] += value;
            gross[l] += magnitude(value);
            a.short_value[l] += value < 0.0 ? -value : 0.0;
        }
    }
    std::int64_t stop = 0;
    for (std::size_t l = 0; l < kLanes; ++l) {
        const bool broke =
            (a.equity[l] <= rates.maintenance * gross[l]) | (a.equity[l] <= 0.0);
        stop |= (a.open[l] > 0.0) & broke ? 1 : 0;
        a.exposure[l] += (a.open[l] > 0.0) & !broke ? gross[l] / a.equity[l] : 0.0;
    }
    return stop != 0;
}

// 3b. Liquidation at the marks, with costs. Rare, so lane by lane.
inline void liquidate(Account& a, Lane* units, std::size_t instruments, const Rates& rates,
                      const Lane& gross, std::size_t bar) {
    for (std::size_t l = 0; l < kLanes; ++l) {
        const bool broke =
            (a.equity[l] <= rates.maintenance * gross[l]) || (a.equity[l] <= 0.0);
        if (a.open[l] <= 0.0 || !broke) continue;
        const double cost = gross[l] * rates.trading;
        for (std::size_t n = 0; n < instruments; ++n) {
            a.fills[l] += units[n][l] != 0.0 ? 1.0 : 0.0;
            units[n][l] = 0.0;
        }
        a.costs[l] += cost;
        a.cash[l] = a.equity[l] - cost;
        a.equity[l] = a.cash[l];
        a.short_value[l] = 0.0;
        a.open[l] = 0.0;
        a.liquidated[l] = static_cast<double>(bar);
    }
}

}  // namespace windtunnel
