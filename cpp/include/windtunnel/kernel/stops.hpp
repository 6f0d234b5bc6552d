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
        stop_at_open = stopped(open);
        target_at_open = reached(open) & ~stop_at_open;
    }

    WINDTUNNEL_INLINE Mask stopped(const Row& price) const {
        return held & (side * price <= side * stop);
    }
    WINDTUNNEL_INLINE Mask reached(const Row& price) const {
        return held & (side * price >= side * target);
    }
};

// What a stop leaves behind: a policy's side is barred, a signal is over.
WINDTUNNEL_INLINE void note_stop(Tile<Policies>& tile, std::size_t n, const Mask& exits,
                                 const Row& side) {
    Lane& barred = tile.stops[n].barred;
    select(exits, side, Row(barred)).store(barred);
}
WINDTUNNEL_INLINE void note_stop(Tile<Signals>& tile, std::size_t n, const Mask& exits,
                                 const Row&) {
    tile.wishes[n] &= ~bits_of(exits);
}

// After a score: a side that was stopped stays without a position until the signal leaves it.
WINDTUNNEL_INLINE void bar_stopped_side(StopState& state, const Row& signal, Row& target) {
    const Row barred(state.barred);
    const Mask still = (barred != 0.0) & (signal == barred);
    select(still, barred, 0.0).store(state.barred);
    target = select(still, 0.0, target);
}

// With a bar's orders: a position held for long enough is closed, and, where orders fill at the
// open, one whose stop or target the open has passed. The order replaces the decided one.
template <class Door>
WINDTUNNEL_INLINE void force_exits(Tile<Door>& tile, std::size_t n, const Lane& holding,
                                   double open, bool at_open, std::size_t bar, Row& target,
                                   Row& reason) {
    const StopState& state = tile.stops[n];
    const Levels levels(Row(holding), state, tile.door.stops, open);
    Mask forced =
        levels.held & (static_cast<double>(bar) - Row(state.since) >= Row(tile.door.stops.bars));
    reason = select(forced, code(Reason::time), reason);
    if (at_open) {
        reason = select(levels.target_at_open, code(Reason::profit), reason);
        reason = select(levels.stop_at_open, levels.why, reason);
        forced = forced | levels.stop_at_open | levels.target_at_open;
    }
    target = select(forced, 0.0, target);
    note_stop(tile, n, forced, levels.side);
}

// After a fill: a position that has been opened or turned round begins here.
WINDTUNNEL_INLINE void note_entry(StopState& state, const Row& before, const Row& after,
                                  double price, std::size_t bar) {
    const Mask begins = (after != 0.0) & (side_of(after) != side_of(before));
    select(begins, price, Row(state.entry)).store(state.entry);
    select(begins, price, Row(state.best)).store(state.best);
    select(begins, static_cast<double>(bar), Row(state.since)).store(state.since);
}

// The trailing stop follows the extremes of the bars that have passed.
WINDTUNNEL_INLINE void trail(StopState& state, const Row& units, double high, double low) {
    const Row best(state.best);
    select(units > 0.0, larger(best, high), select(units < 0.0, smaller(best, low), best))
        .store(state.best);
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
        const Mask stopped = levels.stopped(select(is_long, low, high));
        const Mask reached = levels.reached(select(is_long, high, low));
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
            note_stop(tile, n, exits, levels.side);
        }
    }
    trail(state, Row(holding), high, low);
}

// Gets the watch of a tile with one instrument ready again, after its positions have changed.
[[gnu::noinline]] inline void set_watch(Tile<Signals>& tile, const Lane& holding) {
    const StopLanes& lanes = tile.door.stops;
    const StopState& state = tile.stops[0];
    StopWatch& watch = tile.door.watch;
    constexpr double kNever = __builtin_inf();
    const Row side = side_of(Row(holding));
    const Mask held = side != 0.0;
    const Row entry = side * Row(state.entry);
    select(held, entry * (1.0 - side * Row(lanes.loss)), -kNever).store(watch.fixed);
    select(held, entry * (side * Row(lanes.profit) + 1.0), kNever).store(watch.target);
    select(held, side * Row(state.best), -kNever).store(watch.best);
    select(held, 1.0 - side * Row(lanes.trailing), __builtin_nan("")).store(watch.follow);
    select(held, Row(state.since) + Row(lanes.bars), kNever).store(watch.until);
}

// The best prices back to where the finer rules look for them.
WINDTUNNEL_INLINE void end_watch(Tile<Signals>& tile, const Lane& holding) {
    Lane& best = tile.stops[0].best;
    const Row side = side_of(Row(holding));
    select(side != 0.0, side * Row(tile.door.watch.best), Row(best)).store(best);
}

// A bar as the watch of a tile sees it: prices times side.
struct Seen {
    Row worst, best;

    WINDTUNNEL_INLINE Seen(const Tile<Signals>& tile, double high, double low) {
        const Mask is_long = Row(tile.door.size) > 0.0;
        worst = select(is_long, low, 0.0 - high);
        best = select(is_long, high, 0.0 - low);
    }
};

// Whether a bar on which something trades reaches any level.
WINDTUNNEL_INLINE bool reaches(const StopWatch& watch, const Seen& seen, std::size_t bar) {
    const Row stop = larger(Row(watch.fixed), Row(watch.best) * Row(watch.follow));
    return any((seen.worst <= stop) | (seen.best >= Row(watch.target)) |
               (Row(watch.until) <= static_cast<double>(bar)));
}

// Once a bar has passed, trailing stops follow it.
WINDTUNNEL_INLINE void follow(StopWatch& watch, const Seen& seen) {
    const Row best(watch.best);
    select(best > -__builtin_inf(), larger(best, seen.best), best).store(watch.best);
}
