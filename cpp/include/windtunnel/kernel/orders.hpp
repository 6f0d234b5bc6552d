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

// What came of an order.
struct Executed {
    Mask filled;
    Row change, cost;
};

// Moves a holding to `wanted` where `order` holds, as far as the bar's volume carries.
WINDTUNNEL_INLINE Executed fill_in_part(Working& a, Lane& holding, const Row& target_units,
                                        const Mask& wish, const Row& price, const Quote& quote,
                                        const Terms& terms, Lane& capped, Row& traded) {
    const Row units(holding);
    Mask order = wish;
    Row wanted = select(order, target_units, units);
    Row change = wanted - units;
    double limit = terms.participation * quote.volume;
    if (terms.lot_size > 0.0) {
        Lane lots;
        whole(limit / terms.lot_size).store(lots);
        limit = lots[0] * terms.lot_size;
    }
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
    return {order, change, cost};
}

// The order that a target asks for, filled or dropped.
WINDTUNNEL_INLINE Executed place_order(Working& a, Lane& holding, const Row& target,
                                       const Row& capital, double price, const Quote& quote,
                                       const Terms& terms, Lane& capped, Row& traded) {
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
        return {order & ~order, 0.0, 0.0};
    }
}

// Writes fills to the log of a tile.
template <class Door>
void record(Tile<Door>& tile, const Executed& done, const Row& units, const Row& price,
            const Row& reason, std::size_t t, std::size_t n) {
    if (!any(done.filled)) return;
    Lane filled, change, cost, held, at, why;
    select(done.filled, 1.0, 0.0).store(filled);
    done.change.store(change);
    done.cost.store(cost);
    units.store(held);
    price.store(at);
    reason.store(why);
    for (std::size_t l = 0; l < tile.width; ++l) {
        if (filled[l] == 0.0) continue;
        tile.trades.push_back({static_cast<std::int64_t>(tile.configuration[l]),
                               static_cast<std::int64_t>(t), static_cast<std::int64_t>(n),
                               static_cast<Reason>(why[l]), change[l], held[l], at[l], cost[l]});
    }
}

WINDTUNNEL_INLINE Row code(Reason reason) {
    return static_cast<double>(reason);
}

// What it costs to close everything at the marks, whatever the volume allows.
template <class Door>
WINDTUNNEL_INLINE Row close_everything(const Sweep<Door>& sweep, Tile<Door>& tile,
                                       const Lane* units, std::size_t t, const Mask& broke) {
    Row total = 0.0;
    for (std::size_t n = 0; n < sweep.market.instruments; ++n) {
        const double mark = sweep.market.mark[t * sweep.market.instruments + n];
        const Row held(units[n]);
        const Row size = magnitude(held);
        const Row cost =
            cost_of_order(size, size * mark, quote_at(sweep.market, t, n), sweep.terms);
        total += cost;
        if (sweep.results.trades != nullptr) {
            record(tile, Executed{broke & (held != 0.0), 0.0 - held, cost}, 0.0, mark,
                   code(Reason::liquidation), sweep.past + t, n);
        }
    }
    return total;
}
