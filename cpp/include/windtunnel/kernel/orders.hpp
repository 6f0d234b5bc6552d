// Orders with every cost and limit; the plain loop has fill_orders instead. Compiled once for each
// level; see levels.hpp.

// What one instrument offers at one bar.
struct Quote {
    double half_spread;
    double volume;  // of this bar, or of the last one with trade
    bool tradable;
};

WINDTUNNEL_INLINE Quote quote_at(const Market& market, std::size_t t, std::size_t n) {
    const std::size_t at = t * market.instruments + n;
    return {market.half_spread[at], market.volume[at], market.tradable[at] != 0};
}

// Both fees with their minimum, half the spread, and impact by the square root of the share of
// the volume that the order takes. `size` is in units, `value` in currency.
WINDTUNNEL_INLINE Row cost_of_order(const Row& size, const Row& value, const Quote& quote,
                                    const Terms& terms) {
    const Row by_units = size * terms.fee_per_unit;
    const Row missing = terms.minimum_fee - (value * terms.fee + by_units);
    Row cost =
        value * (terms.fee + quote.half_spread) + by_units + select(missing > 0.0, missing, 0.0);
    if (terms.impact > 0.0) cost += value * (root(size / quote.volume) * terms.impact);
    return select(size > 0.0, cost, 0.0);
}

// Moves a holding to `wanted` where `order` holds, as far as the bar's volume carries. Returns
// the lanes in which something filled.
WINDTUNNEL_INLINE Mask fill_in_part(Working& a, Lane& holding, const Row& target_units,
                                    const Mask& wish, const Row& price, const Quote& quote,
                                    const Terms& terms, Lane& capped, Row& traded) {
    const Row units(holding);
    Mask order = wish;
    Row wanted = select(order, target_units, units);
    Row change = wanted - units;
    double limit = terms.participation * quote.volume;
    if (terms.lot_size > 0.0) limit = __builtin_trunc(limit / terms.lot_size) * terms.lot_size;
    const Mask over = order & (magnitude(change) > limit);
    if (any(over)) {
        (Row(capped) + select(over, 1.0, 0.0)).store(capped);
        change = select(over, select(change < 0.0, 0.0 - limit, limit), change);
        wanted = select(over, units + change, wanted);
        // Less than a lot can trade: nothing fills.
        if (limit == 0.0) order = order & ~over;
    }
    const Row size = magnitude(change);
    const Row value = size * price;
    const Row cost = cost_of_order(size, value, quote, terms);
    a.cash -= change * price + cost;
    a.costs += cost;
    a.fills += select(order, 1.0, 0.0);
    traded += value;
    wanted.store(holding);
    return order;
}

// The order that a target asks for, filled or dropped. Returns the lanes that filled.
WINDTUNNEL_INLINE Mask place_order(Working& a, Lane& holding, const Row& target, const Row& capital,
                                   double price, const Quote& quote, const Terms& terms,
                                   Lane& capped, Row& traded) {
    const Row units(holding);
    Mask order = wants_order(target, capital, units, price, a.band);
    Row wanted = target * capital / price;
    if (terms.lot_size > 0.0) {
        wanted = whole(wanted / terms.lot_size) * terms.lot_size;
        order = order & (wanted != units);
    }
    if (quote.tradable) {
        return fill_in_part(a, holding, wanted, order, price, quote, terms, capped, traded);
    } else {
        a.dropped += select(order, 1.0, 0.0);
        return order & ~order;
    }
}

// What it costs to close everything at the marks, whatever the volume allows.
WINDTUNNEL_INLINE Row cost_of_closing(const Lane* units, const double* mark, const Market& market,
                                      std::size_t t, const Terms& terms) {
    Row cost = 0.0;
    for (std::size_t n = 0; n < market.instruments; ++n) {
        const Row size = magnitude(Row(units[n]));
        cost += cost_of_order(size, size * mark[n], quote_at(market, t, n), terms);
    }
    return cost;
}
