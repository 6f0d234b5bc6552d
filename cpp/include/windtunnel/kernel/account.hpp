// The rules of the engine, step by step. Compiled once for each level; see levels.hpp.
//
// `windtunnel.backtest.oracle` states the same rules in plain Python, operation by operation in
// the same order: rounding included, both give the same numbers.

using Working = Account<Row>;

WINDTUNNEL_INLINE void load(Working& a, const Account<Lane>& from) {
    a.cash = Row(from.cash);
    a.open = Row(from.open);
    a.band = Row(from.band);
    a.short_value = Row(from.short_value);
    a.equity = Row(from.equity);
    a.turnover = Row(from.turnover);
    a.costs = Row(from.costs);
    a.financing = Row(from.financing);
    a.exposure = Row(from.exposure);
    a.fills = Row(from.fills);
    a.dropped = Row(from.dropped);
    a.liquidated = Row(from.liquidated);
    a.peak_input = Row(from.peak_input);
}

WINDTUNNEL_INLINE void store(const Working& a, Account<Lane>& to) {
    a.cash.store(to.cash);
    a.open.store(to.open);
    a.band.store(to.band);
    a.short_value.store(to.short_value);
    a.equity.store(to.equity);
    a.turnover.store(to.turnover);
    a.costs.store(to.costs);
    a.financing.store(to.financing);
    a.exposure.store(to.exposure);
    a.fills.store(to.fills);
    a.dropped.store(to.dropped);
    a.liquidated.store(to.liquidated);
    a.peak_input.store(to.peak_input);
}

// 1. Financing for the bar that passed: negative cash and short value, as they stood at its close.
WINDTUNNEL_INLINE void charge_financing(Working& a, const Rates& rates) {
    const Mask owes = a.cash < 0.0;
    if (!any(owes | (a.short_value > 0.0))) return;
    const Row debt = select(owes & (a.open > 0.0), 0.0 - a.cash, 0.0);
    const Row charge = debt * rates.financing + a.short_value * rates.borrow;
    a.cash -= charge;
    a.financing += charge;
}

// Equity before the orders of a bar.
WINDTUNNEL_INLINE Row value_at(const Working& a, const Lane* units, const double* price,
                               std::size_t instruments) {
    Row capital = a.cash;
    for (std::size_t n = 0; n < instruments; ++n) capital += Row(units[n]) * price[n];
    return capital;
}

// Whether a target asks for an order. A NaN target compares false throughout: no order. A closed
// account has neither units nor an end to its band.
WINDTUNNEL_INLINE Mask wants_order(const Row& target, const Row& capital, const Row& units,
                                   double price, const Row& band) {
    const Mask outside = magnitude(target * capital - units * price) > band * capital;
    const Mask closes = (target == 0.0) & (units != 0.0);
    return (capital > 0.0) & (outside | closes);
}

// 2. Orders for one instrument fill at `price`; all of a bar are sized by the same capital.
WINDTUNNEL_INLINE void fill_orders(Working& a, Row& units, const Mask& order, const Row& target,
                                   const Row& capital, double price, const Rates& rates,
                                   Row& traded) {
    const Row wanted = select(order, settled(target * capital / price), units);
    const Row change = wanted - units;
    const Row paid = change * price;
    const Row value = magnitude(paid);
    const Row cost = value * rates.trading;
    a.cash -= paid + cost;
    a.costs += cost;
    a.fills = select(order, a.fills + 1.0, a.fills);
    traded += value;
    units = wanted;
}

WINDTUNNEL_INLINE void add_turnover(Working& a, const Row& traded, const Row& capital) {
    a.turnover += select(capital > 0.0, traded / capital, 0.0);
}

// Closes the accounts that are broken: their positions are gone, and no order comes again.
WINDTUNNEL_INLINE void close_broken(Working& a, Lane* units, std::size_t instruments,
                                    const Mask& broke, const Row& cost, std::size_t bar) {
    for (std::size_t n = 0; n < instruments; ++n) {
        const Row held(units[n]);
        a.fills += select(broke & (held != 0.0), 1.0, 0.0);
        select(broke, 0.0, held).store(units[n]);
    }
    a.costs += cost;
    a.equity -= cost;
    a.cash = select(broke, a.equity, a.cash);
    a.short_value = select(broke, 0.0, a.short_value);
    a.open = select(broke, 0.0, a.open);
    a.band = select(broke, __builtin_inf(), a.band);
    a.liquidated = select(broke, static_cast<double>(bar), a.liquidated);
}

// 3. Mark to the close, and liquidate at the marks, with costs, whoever is broken. `closing_cost`
// says what it costs to close everything, an order an instrument, where `broke`.
// True if it may have closed any.
template <class ClosingCost>
WINDTUNNEL_INLINE bool mark_to_close(Working& a, Lane* units, const double* mark,
                                     std::size_t instruments, const Rates& rates, std::size_t bar,
                                     MeasuredTile* measured, const ClosingCost& closing_cost) {
    a.equity = a.cash;
    Row gross = 0.0;
    Row short_value = 0.0;
    for (std::size_t n = 0; n < instruments; ++n) {
        const Row value = Row(units[n]) * mark[n];
        a.equity += value;
        gross += magnitude(value);
        // Only borrow asks for it.
        if (rates.borrow > 0.0) short_value += select(value < 0.0, 0.0 - value, 0.0);
    }
    a.short_value = short_value;
    bool closes = false;
    const Mask under = a.equity <= gross * rates.maintenance;
    if (any(under)) [[unlikely]] {
        closes = true;
        if (measured != nullptr) measured->may_be_ruined = true;
        const Mask broke = under & (a.open > 0.0);
        const Row cost = select(broke, closing_cost(broke), 0.0);
        close_broken(a, units, instruments, broke, cost, bar);
        gross = select(broke, 0.0, gross);
    }
    a.exposure = select(gross > 0.0, a.exposure + gross * (1.0 / a.equity), a.exposure);
    return closes;
}
