// One instrument alone, a whole block of bars at a time: what a bar leaves for the next stays in
// registers. Compiled once for each level; see levels.hpp.
//
// Numbers come from the same operations as in advance_units, bit for bit.

// Decisions, with the memory that a door has between bars.
template <class Door>
struct Decisions;

template <class Number>
struct Decisions<Exposures<Number>> {
    using Door = Exposures<Number>;

    WINDTUNNEL_INLINE explicit Decisions(const Tile<Door>&) {}
    WINDTUNNEL_INLINE Row at(const Door& door, const Tile<Door>& tile, Working& a, std::size_t t) {
        return target_at(door, tile, a, t);
    }
    WINDTUNNEL_INLINE void store(Tile<Door>&) const {}
};

template <>
struct Decisions<Policies> {
    Row signal;

    WINDTUNNEL_INLINE explicit Decisions(const Tile<Policies>& tile) : signal(tile.signals[0]) {}
    WINDTUNNEL_INLINE Row at(const Policies& door, const Tile<Policies>& tile, Working& a,
                             std::size_t t) {
        signal = signal_after(door, tile.door, a, signal, door.scores_at(t));
        return target_of(door, tile.door, signal, t);
    }
    WINDTUNNEL_INLINE void store(Tile<Policies>& tile) const { signal.store(tile.signals[0]); }
};

// A block whose every bar can be traded; false if an account comes to its end in it, and then the
// tile is as it was but for the bars that wait to be measured.
template <class Door>
[[gnu::noinline]] bool advance_alone(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                     std::size_t last, Lane& holding) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const bool is_financed = sweep.terms.charges_interest();
    const std::size_t lag = delay(sweep.terms.fill);
    Working a;
    load(a, tile.account);
    Row units(holding);
    Decisions<Door> decisions(tile);
    for (std::size_t t = first; t < last; ++t) {
        if (is_financed && t > 0) charge_financing(a, rates);
        const double price = market.fill_price[t];
        const Row target = decisions.at(sweep.door, tile, a, t - lag);
        const Row capital = a.cash + units * price;
        const Mask order = wants_order(target, capital, units, price, a.band);
        if (any(order)) {
            Row traded = 0.0;
            fill_orders(a, units, order, target, capital, price, rates, traded);
            add_turnover(a, traded, capital);
        }
        const Row value = units * market.mark[t];
        const Row gross = magnitude(value);
        a.equity = a.cash + value;
        if (rates.borrow > 0.0) a.short_value = select(value < 0.0, 0.0 - value, 0.0);
        if (any(a.equity <= gross * rates.maintenance)) [[unlikely]]
            return false;
        a.exposure += gross * (1.0 / a.equity);
        if (tile.measured != nullptr) keep_bar(*tile.measured, a.equity);
        if (sweep.results.equity != nullptr) {
            write_row(sweep.results.equity, sweep, tile, t, a.equity);
        }
    }
    store(a, tile.account);
    units.store(holding);
    decisions.store(tile);
    return true;
}
