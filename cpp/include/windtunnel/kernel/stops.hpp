// Stops of a policy: levels, exits inside a bar, and the bar on a side that was stopped. Compiled
// once for each level; see levels.hpp.

WINDTUNNEL_INLINE Row side_of(const Row& units) {
    return select(units > 0.0, 1.0, select(units < 0.0, -1.0, 0.0));
}

// Where the exits of a position lie, and which of them the open of a bar has passed. Comparisons
// are made on prices times side, so that further is better on both sides; a stop that is off
// lies at infinity.
struct Levels {
    Row side, stop, target, why;  // `why` is the reason of the nearer stop
    Mask held, stop_at_open, target_at_open;

    WINDTUNNEL_INLINE Levels(const Row& units, const StopState& state, const StopLanes& lanes,
                             double open)
        : side(side_of(units)) {
        held = units != 0.0;
        const Row entry(state.entry);
        const Row fixed = entry * (1.0 - side * Row(lanes.loss));
        const Row trailing = Row(state.best) * (1.0 - side * Row(lanes.trailing));
        const Mask trails = side * trailing > side * fixed;
        stop = select(trails, trailing, fixed);
        why = select(trails, code(Reason::trailing), code(Reason::loss));
        target = entry * (side * Row(lanes.profit) + 1.0);
        stop_at_open = held & (side * open <= side * stop);
        target_at_open = held & (side * open >= side * target) & ~stop_at_open;
    }
};

// After a score: a side that was stopped stays without a position until the signal leaves it.
WINDTUNNEL_INLINE void bar_stopped_side(StopState& state, const Row& signal, Row& target) {
    const Row barred(state.barred);
    const Mask still = (barred != 0.0) & (signal == barred);
    select(still, barred, 0.0).store(state.barred);
    target = select(still, 0.0, target);
}

// With a bar's orders: a position held for long enough is closed, and, where orders fill at the
// open, one whose stop or target the open has passed. The order replaces the decided one.
WINDTUNNEL_INLINE void force_exits(StopState& state, const StopLanes& lanes, const Lane& holding,
                                   double open, bool at_open, std::size_t bar, Row& target,
                                   Row& reason) {
    const Levels levels(Row(holding), state, lanes, open);
    Mask forced = levels.held & (static_cast<double>(bar) - Row(state.since) >= Row(lanes.bars));
    reason = select(forced, code(Reason::time), reason);
    if (at_open) {
        reason = select(levels.target_at_open, code(Reason::profit), reason);
        reason = select(levels.stop_at_open, levels.why, reason);
        forced = forced | levels.stop_at_open | levels.target_at_open;
    }
    target = select(forced, 0.0, target);
    select(forced, levels.side, Row(state.barred)).store(state.barred);
}

// After a fill: a position that has been opened or turned round begins here.
WINDTUNNEL_INLINE void note_entry(StopState& state, const Row& before, const Row& after,
                                  double price, std::size_t bar) {
    const Mask begins = (after != 0.0) & (side_of(after) != side_of(before));
    select(begins, price, Row(state.entry)).store(state.entry);
    select(begins, price, Row(state.best)).store(state.best);
    select(begins, static_cast<double>(bar), Row(state.since)).store(state.since);
}

// Inside a bar: exits at the levels that low and high reach, at the open where it lies beyond;
// the stop comes before the target. What is left trails the extremes of the bar.
template <class Door>
[[gnu::noinline]] void watch_stops(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                   Lane& holding, std::size_t t, std::size_t n) {
    const std::size_t at = t * sweep.market.instruments + n;
    const double open = sweep.market.view.open[at];
    const double high = sweep.market.view.high[at];
    const double low = sweep.market.view.low[at];
    const Quote quote = quote_at(sweep.market, t, n);
    StopState& state = tile.stops[n];
    if (quote.tradable) {
        const Row units(holding);
        const Levels levels(units, state, tile.door.stops, open);
        const Mask is_long = units > 0.0;
        const Row worst = select(is_long, low, high);
        const Row best = select(is_long, high, low);
        const Mask stopped = levels.held & (levels.side * worst <= levels.side * levels.stop);
        const Mask reached = levels.held & (levels.side * best >= levels.side * levels.target);
        const Mask exits = stopped | reached;
        if (any(exits)) {
            const Mask at_open = levels.stop_at_open | levels.target_at_open;
            const Row tally = select(stopped & reached & ~at_open, 1.0, 0.0);
            (Row(tile.ambiguous) + tally).store(tile.ambiguous);
            const Row level = select(stopped, levels.stop, levels.target);
            const Row price = select(exits, select(at_open, open, level), open);
            Row traded = 0.0;
            const Executed done = fill_in_part(a, holding, 0.0, exits, price, quote, sweep.terms,
                                               tile.capped, traded);
            if (sweep.results.trades != nullptr) {
                const Mask by_stop = (stopped & ~levels.target_at_open) | levels.stop_at_open;
                record(tile, done, Row(holding), price,
                       select(by_stop, levels.why, code(Reason::profit)), sweep.past + t, n);
            }
            // Relative to the equity of the last mark, which is positive while there are units.
            a.turnover += select(exits, traded / a.equity, 0.0);
            select(exits, levels.side, Row(state.barred)).store(state.barred);
        }
    }
    const Row left(holding);
    const Row best(state.best);
    const Row longer = select(best < high, high, best);
    const Row shorter = select(best > low, low, best);
    select(left > 0.0, longer, select(left < 0.0, shorter, best)).store(state.best);
}
