// The rules of the engine, step by step. Compiled once for each level; see levels.hpp.
//
// `windtunnel.backtest.oracle` states the same rules in plain Python, operation by operation in
// the same order: rounding included, both give the same numbers.

template <std::size_t N>
using WorkingOf = Account<RowOf<N>>;
using Working = WorkingOf<kParts>;

// Parts from `lane` on.
template <std::size_t N>
WINDTUNNEL_INLINE void load(WorkingOf<N>& a, const Account<Lane>& from, std::size_t lane = 0) {
    a.cash = RowOf<N>(from.cash, lane);
    a.open = RowOf<N>(from.open, lane);
    a.band = RowOf<N>(from.band, lane);
    a.short_value = RowOf<N>(from.short_value, lane);
    a.equity = RowOf<N>(from.equity, lane);
    a.inverse = RowOf<N>(from.inverse, lane);
    a.turnover = RowOf<N>(from.turnover, lane);
    a.costs = RowOf<N>(from.costs, lane);
    a.financing = RowOf<N>(from.financing, lane);
    a.exposure = RowOf<N>(from.exposure, lane);
    a.fills = RowOf<N>(from.fills, lane);
    a.dropped = RowOf<N>(from.dropped, lane);
    a.liquidated = RowOf<N>(from.liquidated, lane);
    a.peak_input = RowOf<N>(from.peak_input, lane);
}

template <std::size_t N>
WINDTUNNEL_INLINE void store(const WorkingOf<N>& a, Account<Lane>& to, std::size_t lane = 0) {
    a.cash.store(to.cash, lane);
    a.open.store(to.open, lane);
    a.band.store(to.band, lane);
    a.short_value.store(to.short_value, lane);
    a.equity.store(to.equity, lane);
    a.inverse.store(to.inverse, lane);
    a.turnover.store(to.turnover, lane);
    a.costs.store(to.costs, lane);
    a.financing.store(to.financing, lane);
    a.exposure.store(to.exposure, lane);
    a.fills.store(to.fills, lane);
    a.dropped.store(to.dropped, lane);
    a.liquidated.store(to.liquidated, lane);
    a.peak_input.store(to.peak_input, lane);
}

// 1. Financing for the bar that passed: negative cash and short value, as they stood at its close.
template <std::size_t N>
WINDTUNNEL_INLINE void charge_financing(WorkingOf<N>& a, const Rates& rates) {
    const MaskOf<N> owes = a.cash < 0.0;
    if (!any(owes | (a.short_value > 0.0))) return;
    const RowOf<N> debt = select(owes & (a.open > 0.0), 0.0 - a.cash, 0.0);
    const RowOf<N> charge = debt * rates.financing + a.short_value * rates.borrow;
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
template <std::size_t N>
WINDTUNNEL_INLINE MaskOf<N> wants_order(const RowOf<N>& target, const RowOf<N>& capital,
                                        const RowOf<N>& units, double price, const RowOf<N>& band) {
    const MaskOf<N> outside = magnitude(target * capital - units * price) > band * capital;
    const MaskOf<N> closes = (target == 0.0) & (units != 0.0);
    return (capital > 0.0) & (outside | closes);
}

// 2. Orders for one instrument fill at `price`; all of a bar are sized by the same capital.
template <std::size_t N>
WINDTUNNEL_INLINE void fill_orders(WorkingOf<N>& a, RowOf<N>& units, const MaskOf<N>& order,
                                   const RowOf<N>& target, const RowOf<N>& capital, double price,
                                   const Rates& rates, RowOf<N>& traded) {
    const RowOf<N> wanted = select(order, settled(target * capital / price), units);
    const RowOf<N> change = wanted - units;
    const RowOf<N> paid = change * price;
    const RowOf<N> value = magnitude(paid);
    const RowOf<N> cost = value * rates.trading;
    a.cash -= paid + cost;
    a.costs += cost;
    a.fills = select(order, a.fills + 1.0, a.fills);
    traded += value;
    units = wanted;
}

template <std::size_t N>
WINDTUNNEL_INLINE void add_turnover(WorkingOf<N>& a, const RowOf<N>& traded,
                                    const RowOf<N>& capital) {
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
    a.inverse = 1.0 / a.equity;
    a.exposure = select(gross > 0.0, a.exposure + gross * a.inverse, a.exposure);
    return closes;
}
