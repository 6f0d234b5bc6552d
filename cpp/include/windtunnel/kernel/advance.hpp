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

template <class Door>
WINDTUNNEL_INLINE void watch_all_stops(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                       Lane* units, std::size_t t) {
    const Market& market = sweep.market;
    for (std::size_t n = 0; n < market.instruments; ++n) {
        const std::size_t at = t * market.instruments + n;
        if (!market.listed[at]) continue;
        watch_stops(sweep, tile, a, units[n], t, n);
    }
}

// One instrument's part in the orders of a bar, with every rule.
// Not inlined, as nothing that is asked for seldom: compilers take minutes over it otherwise.
template <class Door>
[[gnu::noinline]] void order_in_detail(const Sweep<Door>& sweep, Tile<Door>& tile, Working& a,
                                       Lane& units, const Row& capital, std::size_t t,
                                       std::size_t decided, std::size_t n, Row& traded) {
    const Market& market = sweep.market;
    const std::size_t at = t * market.instruments + n;
    const double price = market.fill_price[at];
    const Quote quote = quote_at(market, t, n);
    Row target = __builtin_nan("");
    Row reason = code(Reason::decision);
    const Row before(units);
    const bool has_decision =
        decide(sweep.door, tile.door, a, tile.signals, market, decided, n, target);
    if constexpr (std::is_same_v<Door, Policies>) {
        if (sweep.door.has_stops()) {
            if (has_decision) bar_stopped_side(tile.stops[n], Row(tile.signals[n]), target);
            if (quote.tradable) {
                force_exits(tile.stops[n], tile.door.stops, units, market.view.open[at],
                            sweep.terms.fill == Fill::next_open, sweep.past + t, target, reason);
            }
        }
    }
    const Executed done =
        place_order(a, units, target, capital, price, quote, sweep.terms, tile.capped, traded);
    if (sweep.results.trades != nullptr)
        record(tile, done, Row(units), price, reason, sweep.past + t, n);
    if constexpr (std::is_same_v<Door, Policies>) {
        if (sweep.door.has_stops())
            note_entry(tile.stops[n], before, Row(units), price, sweep.past + t);
    }
}

// Bars [first, last), with the units apart from the tile.
template <class Door, bool kDetailed>
WINDTUNNEL_INLINE void advance_units(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                     std::size_t last, std::size_t instruments, Lane* units) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const std::size_t lag = delay(sweep.terms.fill);
    [[maybe_unused]] const bool at_open = sweep.terms.fill == Fill::next_open;
    Working a;
    load(a, tile.account);
    for (std::size_t t = first; t < last; ++t) {
        const double* price = market.fill_price.data() + t * instruments;
        const double* mark = market.mark.data() + t * instruments;
        const std::uint8_t* tradable = market.tradable.data() + t * instruments;
        if (t > 0) charge_financing(a, rates);
        [[maybe_unused]] bool watches = false;
        if constexpr (kDetailed && std::is_same_v<Door, Policies>) {
            watches = sweep.door.has_stops();
            // Orders at the close come after what happens inside the bar, those at the open before.
            if (watches && !at_open) watch_all_stops(sweep, tile, a, units, t);
        }
        if (t >= lag) {
            const std::size_t decided = t - lag;
            const Row capital = value_at(a, units, price, instruments);
            Row traded = 0.0;
            begin_bar(sweep.door, tile.door, market.listed_count[decided]);
            for (std::size_t n = 0; n < instruments; ++n) {
                if constexpr (kDetailed) {
                    order_in_detail(sweep, tile, a, units[n], capital, t, decided, n, traded);
                    continue;
                }
                Row target;
                if (!decide(sweep.door, tile.door, a, tile.signals, market, decided, n, target)) {
                    continue;
                }
                if (tradable[n]) {
                    fill_orders(a, units[n], target, capital, price[n], rates, traded);
                } else {
                    drop_orders(a, units[n], target, capital, price[n]);
                }
            }
            add_turnover(a, traded, capital);
        }
        if constexpr (kDetailed && std::is_same_v<Door, Policies>) {
            if (watches && at_open) watch_all_stops(sweep, tile, a, units, t);
        }
        if constexpr (kDetailed) {
            mark_to_close(a, units, mark, instruments, rates, sweep.past + t,
                          [&](const Row&, const Mask& broke) {
                              return close_everything(sweep, tile, units, t, broke);
                          });
            if (sweep.results.cash != nullptr) {
                write_row(sweep.results.cash, sweep, tile, t, a.cash);
            }
        } else {
            mark_to_close(a, units, mark, instruments, rates, sweep.past + t,
                          [&](const Row& gross, const Mask&) { return gross * rates.trading; });
        }
        if (sweep.results.equity != nullptr) {
            write_row(sweep.results.equity, sweep, tile, t, a.equity);
        }
    }
    store(a, tile.account);
}

template <class Door, bool kDetailed>
void advance(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first, std::size_t last) {
    if (!kDetailed && sweep.market.instruments == 1) {
        // The most common sweep: loops over instruments vanish, units stay near the registers.
        Lane units = tile.units[0];
        advance_units<Door, false>(sweep, tile, first, last, 1, &units);
        tile.units[0] = units;
    } else {
        advance_units<Door, kDetailed>(sweep, tile, first, last, sweep.market.instruments,
                                       tile.units);
    }
}
