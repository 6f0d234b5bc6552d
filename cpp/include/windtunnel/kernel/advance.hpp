// One tile through a block of bars, everything fused. Compiled once for each level; see levels.hpp.

template <class Door>
WINDTUNNEL_INLINE void write_row(double* to, const Sweep<Door>& sweep, const Tile<Door>& tile,
                                 std::size_t t, const Row& row) {
    to += t * sweep.door.count();
    if (tile.in_order && tile.width == kLanes) [[likely]] {
        row.store(to + tile.configuration[0]);
        return;
    }
    Lane lane;
    row.store(lane);
    for (std::size_t l = 0; l < tile.width; ++l) to[tile.configuration[l]] = lane[l];
}

// One instrument's part in the orders of a bar, with every rule.
// Not inlined, as nothing that is asked for seldom: compilers take minutes over it otherwise.
template <class Door>
[[gnu::noinline]] void order_in_detail(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                       Lane& units, const Row& capital, const Moment& moment,
                                       std::size_t n, Row& traded) {
    const Market& market = sweep.market;
    const std::size_t t = moment.filled;
    const std::size_t at = t * market.instruments + n;
    const double price = market.fill_price[at];
    const Quote quote = quote_at(market, t, n);
    Row target = __builtin_nan("");
    Row reason = code(Reason::decision);
    const Row before(units);
    [[maybe_unused]] const bool has_decision =
        decide(sweep.door, tile, a, units, market, moment, n, target);
    if constexpr (Door::kMayStop) {
        if (sweep.door.has_stops()) {
            if constexpr (std::is_same_v<Door, Policies>) {
                if (has_decision) bar_stopped_side(tile.stops[n], Row(tile.signals[n]), target);
            }
            if (quote.tradable) {
                force_exits(tile, n, units, market.view.open[at],
                            sweep.terms.fill == Fill::next_open, sweep.past + t, target, reason);
            }
        }
    }
    const Executed done =
        place_order(a, units, target, capital, price, quote, sweep.terms, tile.capped, traded);
    if (sweep.results.trades != nullptr)
        record(tile, done, Row(units), price, reason, sweep.past + t, n);
    if constexpr (Door::kMayStop) {
        if (sweep.door.has_stops())
            note_entry(tile.stops[n], before, Row(units), price, sweep.past + t);
    }
}

// Orders of one bar, sized by the capital before the first of them.
template <class Door, Rules kRules>
WINDTUNNEL_INLINE void place_orders(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                    Lane* units, std::size_t instruments, const Moment& moment,
                                    const Rates& rates) {
    const Market& market = sweep.market;
    const double* price = market.fill_price.data() + moment.filled * instruments;
    begin_bar(sweep.door, tile, market.listed_count[moment.decided]);
    Row capital = 0.0;
    Row traded = 0.0;
    bool valued = false;
    for (std::size_t n = 0; n < instruments; ++n) {
        [[maybe_unused]] Row target;
        if constexpr (kRules == Rules::plain) {
            if (!decide(sweep.door, tile, a, units[n], market, moment, n, target)) continue;
        }
        if (!valued) {
            capital = value_at(a, units, price, instruments);
            valued = true;
        }
        if constexpr (kRules == Rules::plain) {
            const Mask order =
                orders_of(sweep.door, target, capital, Row(units[n]), price[n], a.band);
            if (!any(order)) continue;
            if (market.tradable[moment.filled * instruments + n]) {
                Row held(units[n]);
                fill_orders(a, held, order, target, capital, price[n], rates, traded);
                held.store(units[n]);
                note_filled(tile, units, n);
            } else {
                a.dropped += select(order, 1.0, 0.0);
            }
        } else {
            order_in_detail(sweep, tile, a, units[n], capital, moment, n, traded);
        }
    }
    if (any(traded > 0.0)) add_turnover(a, traded, capital);
}

template <class Door>
WINDTUNNEL_INLINE void watch_all_stops(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                       Lane* units, std::size_t instruments, std::size_t t) {
    for (std::size_t n = 0; n < instruments; ++n) {
        if (!sweep.market.listed[t * instruments + n]) continue;
        watch_stops(sweep, tile, a, units[n], t, n);
    }
}

// What happens at and inside one bar, before its close is marked.
template <class Door, Rules kRules>
WINDTUNNEL_INLINE void trade_bar(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                 Lane* units, std::size_t instruments, std::size_t t,
                                 const Rates& rates) {
    const std::size_t lag = delay(sweep.terms.fill);
    [[maybe_unused]] const bool watches = Door::kMayStop && sweep.door.has_stops();
    [[maybe_unused]] const bool at_open = sweep.terms.fill == Fill::next_open;
    if constexpr (kRules != Rules::plain && Door::kMayStop) {
        // Orders at the close come after what happens inside the bar, those at the open before.
        if (watches && !at_open) {
            watch_all_stops(sweep, tile, a, units, instruments, t);
            ask_units(tile, units, instruments);
        }
    }
    // A close that is traded at is heard before.
    if (lag == 0) observe(sweep.door, tile, sweep.market, t);
    if (t >= lag) {
        place_orders<Door, kRules>(sweep, tile, a, units, instruments, Moment{t - lag, t}, rates);
    }
    if constexpr (kRules != Rules::plain && Door::kMayStop) {
        if (watches && at_open) watch_all_stops(sweep, tile, a, units, instruments, t);
        ask_units(tile, units, instruments);
    }
}

// Orders of one instrument with stops, on a bar that reaches none of their levels.
template <class Door>
WINDTUNNEL_INLINE void order_with_stops(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                        Lane& units, const Moment& moment, const Rates& rates) {
    const std::size_t bar = sweep.past + moment.filled;
    const double price = sweep.market.fill_price[moment.filled];
    const Row before(units);
    place_orders<Door, Rules::plain>(sweep, tile, a, &units, 1, moment, rates);
    note_entry(tile.stops[0], before, Row(units), price, bar);
    set_watch(tile, units);
}

// A bar of one instrument with stops: most bars neither ask for an order nor reach a level.
template <class Door>
WINDTUNNEL_INLINE void trade_bar_with_stops(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                            Lane& units, std::size_t t, const Rates& rates) {
    const Market& market = sweep.market;
    const std::size_t lag = delay(sweep.terms.fill);
    const std::size_t bar = sweep.past + t;
    // Where orders fill at the close that they are decided with it is heard now, and once more
    // after the stops: hearing twice changes nothing.
    if (lag == 0) observe(sweep.door, tile, market, t);
    const bool orders = tile.held[0] != tile.wishes[0];
    if (!market.listed[t] && !orders) return;
    if (market.tradable[t] && t >= lag) {
        const Seen seen(tile, market.view.high[t], market.view.low[t]);
        if (!reaches(tile.door.watch, seen, bar)) {
            const bool at_open = sweep.terms.fill == Fill::next_open;
            if (!orders || !at_open) follow(tile.door.watch, seen);
            if (!orders) return;
            end_watch(tile, units);
            order_with_stops(sweep, tile, a, units, Moment{t - lag, t}, rates);
            // What is opened at the open is watched from its own bar on.
            if (!at_open) return;
            if (!reaches(tile.door.watch, seen, bar)) {
                follow(tile.door.watch, seen);
                return;
            }
            end_watch(tile, units);
            watch_stops(sweep, tile, a, units, t, 0);
            ask_units(tile, &units, 1);
            set_watch(tile, units);
            return;
        }
    }
    end_watch(tile, units);
    trade_bar<Door, Rules::stops>(sweep, tile, a, &units, 1, t, rates);
    set_watch(tile, units);
}

// Bars [first, last), with the units apart from the tile.
template <class Door, Rules kRules>
WINDTUNNEL_INLINE void advance_units(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                     std::size_t last, std::size_t instruments, Lane* units) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const bool is_financed = sweep.terms.charges_interest();
    const bool hears_late = delay(sweep.terms.fill) != 0;
    Working a;
    load(a, tile.account);
    for (std::size_t t = first; t < last; ++t) {
        const double* mark = market.mark.data() + t * instruments;
        if (is_financed && t > 0) charge_financing(a, rates);
        if constexpr (kRules == Rules::stops) {
            trade_bar_with_stops(sweep, tile, a, *units, t, rates);
        } else {
            trade_bar<Door, kRules>(sweep, tile, a, units, instruments, t, rates);
        }
        const bool closes =
            mark_to_close(a, units, mark, instruments, rates, sweep.past + t, tile.measured,
                          [&](const Mask& broke) -> Row {
                              if constexpr (kRules == Rules::detailed) {
                                  return close_everything(sweep, tile, units, t, broke);
                              }
                              (void)broke;
                              Row cost = 0.0;
                              for (std::size_t n = 0; n < instruments; ++n) {
                                  cost += magnitude(Row(units[n])) * mark[n] * rates.trading;
                              }
                              return cost;
                          });
        if (closes) [[unlikely]]
            ask_units(tile, units, instruments);
        if (hears_late) observe(sweep.door, tile, market, t);
        if (tile.measured != nullptr) keep_bar(*tile.measured, a.equity);
        if (sweep.results.equity != nullptr) {
            write_row(sweep.results.equity, sweep, tile, t, a.equity);
        }
        if constexpr (kRules == Rules::detailed) {
            if (sweep.results.cash != nullptr) {
                write_row(sweep.results.cash, sweep, tile, t, a.cash);
            }
        }
    }
    store(a, tile.account);
    finish_block(tile);
}
