// Flags with stops of one instrument whose orders fill at closes, a block of bars at a time.
// Compiled once for each level; see levels.hpp.
//
// All lanes ask at every bar whether it reaches a level; the few that trade are worked out one by
// one, in memory. Numbers come from the same operations as in stops.hpp, bit for bit.

// What changes between bars; the tile gets it once the block is over.
struct Watched : LaneAccounts {
    Lane ambiguous, entry, since;
    StopWatch watch;
    std::uint32_t wish, held;
};

WINDTUNNEL_INLINE Watched watched_before(const Tile<Signals>& tile, const Lane& units) {
    return {accounts_before(tile.account, units),
            tile.ambiguous,
            tile.stops[0].entry,
            tile.stops[0].since,
            tile.door.watch,
            tile.wishes[0],
            tile.held[0]};
}

WINDTUNNEL_INLINE void keep_watched(const Watched& state, Tile<Signals>& tile, Lane& units) {
    keep_accounts(state, tile.account, units);
    tile.ambiguous = state.ambiguous;
    tile.stops[0].entry = state.entry;
    tile.stops[0].since = state.since;
    tile.door.watch = state.watch;
    tile.wishes[0] = state.wish;
    tile.held[0] = state.held;
}

// Where the exits of a position lie that has been opened. Of a lane without one nobody asks.
WINDTUNNEL_INLINE void begin_watch_of_lane(Watched& state, const StopLanes& lanes, std::size_t l,
                                           double price, std::size_t bar) {
    const double side = state.units[l] > 0.0 ? 1.0 : -1.0;
    const double entry = side * price;
    state.entry[l] = price;
    state.since[l] = static_cast<double>(bar);
    state.watch.best[l] = entry;
    state.watch.fixed[l] = entry * (1.0 - side * lanes.loss[l]);
    state.watch.target[l] = entry * (side * lanes.profit[l] + 1.0);
    state.watch.follow[l] = 1.0 - side * lanes.trailing[l];
    state.watch.until[l] = state.since[l] + lanes.bars[l];
}

// What a bar reaches, in prices times side.
struct Reached {
    Lane stop, worst, best;
    double before;  // the last mark
};

// A position whose bar reaches its stop or its target is closed there, or at an open beyond; false
// if it is neither, since its time has come.
WINDTUNNEL_INLINE bool exit_lane(Watched& state, const Reached& bar, std::size_t l, double open,
                                 double rate) {
    const double side = state.units[l] > 0.0 ? 1.0 : -1.0;
    const double stop = bar.stop[l], target = state.watch.target[l];
    const bool stopped = bar.worst[l] <= stop;
    const bool reached = bar.best[l] >= target;
    if (!stopped && !reached) return false;
    const bool at_open = side * open <= stop || side * open >= target;
    state.ambiguous[l] += stopped && reached && !at_open ? 1.0 : 0.0;
    const double level = side * (stopped ? stop : target);
    const double equity = state.cash[l] + state.units[l] * bar.before;
    fill_lane(state, l, 0.0, at_open ? open : level, rate, equity);
    return true;
}

// Brings the lanes of `orders` to what they wish for, at the close; false if one cannot pay.
WINDTUNNEL_INLINE bool order_lanes(Watched& state, const Signals::Tile& tile, std::uint32_t orders,
                                   double price, double rate, std::size_t bar, Block& block,
                                   std::size_t k) {
    for (; orders != 0; orders &= orders - 1) {
        const auto l = static_cast<std::size_t>(__builtin_ctz(orders));
        if (!order_lane(state, tile.entry, l, price, rate)) return false;
        begin_watch_of_lane(state, tile.stops, l, price, bar);
        block.note(state, k, l);
    }
    return true;
}

// Bars [first, last); false if an account comes to its end in them.
template <bool kPacked, bool kWhole>
WINDTUNNEL_INLINE bool advance_state(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                     std::size_t first, std::size_t last, Watched& state,
                                     Block& block) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const bool hears_late = delay(sweep.terms.fill) != 0;
    const std::size_t width = kWhole ? kLanes : tile.door.width;
    const std::uint8_t* entries = sweep.door.entries_of(tile.door, first);
    const std::uint8_t* exits = sweep.door.exits_of(tile.door, first);
    const std::uint32_t live = bits_of(Row(tile.account.open) > 0.0);
    const Mask is_long = Row(tile.door.size) > 0.0;
    Row best(state.watch.best);
    for (std::size_t t = first; t < last; ++t) {
        const std::uint32_t entry = read_flags<kPacked>(entries, width);
        const std::uint32_t exit = read_flags<kPacked>(exits, width);
        entries += sweep.door.row();
        exits += sweep.door.row();
        const std::size_t bar = sweep.past + t;
        const double high = market.view.high[t], low = market.view.low[t];
        const Row worst = select(is_long, low, 0.0 - high);
        const Row further = select(is_long, high, 0.0 - low);
        const Row stop = larger(Row(state.watch.fixed), best * Row(state.watch.follow));
        const Mask over = Row(state.watch.until) <= static_cast<double>(bar);
        const Mask reach = (worst <= stop) | (further >= Row(state.watch.target)) | over;
        best = larger(best, further);
        std::uint32_t& filled = block.lanes[t - first];
        filled = 0;
        const std::uint32_t heard = hear(state.wish, entry, exit);
        const std::uint32_t decided = hears_late ? state.wish : heard;
        std::uint32_t reaches = bits_of(reach) & state.held;
        if ((reaches | ((decided ^ state.held) & live)) == 0) {
            state.wish = heard;
        } else {
            best.store(state.watch.best);
            std::uint32_t out = 0;
            if (reaches != 0) {
                Reached reached;
                stop.store(reached.stop);
                worst.store(reached.worst);
                further.store(reached.best);
                // There is a last mark, since something is held.
                reached.before = market.mark[t - 1];
                for (; reaches != 0; reaches &= reaches - 1) {
                    const auto l = static_cast<std::size_t>(__builtin_ctz(reaches));
                    if (exit_lane(state, reached, l, market.view.open[t], rates.trading)) {
                        block.note(state, t - first, l);
                        out |= std::uint32_t{1} << l;
                    }
                }
            }
            // A stop ends what was wished for; a flag on the same bar is heard after it. A position
            // whose time has come goes whatever the flag says.
            const std::uint32_t ends = bits_of(over) & state.held & ~out;
            filled |= out;
            state.held &= ~out;
            state.wish &= ~out;
            if (!hears_late) state.wish = hear(state.wish, entry, exit);
            state.wish &= ~ends;
            const std::uint32_t orders = (state.wish ^ state.held) & live;
            if (!order_lanes(state, tile.door, orders, market.fill_price[t], rates.trading, bar,
                             block, t - first)) {
                return false;
            }
            filled |= orders;
            state.held ^= orders;
            if (hears_late) state.wish = hear(state.wish, entry, exit);
            best = Row(state.watch.best);
        }
    }
    best.store(state.watch.best);
    return true;
}

// As advance_flags, with stops.
[[gnu::noinline]] inline bool advance_watched(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                              std::size_t first, Lane& units, Block& block) {
    Watched state = watched_before(tile, units);
    const std::size_t last = first + kMeasuredBars;
    const bool paid = by_form(sweep.door, tile.width, [&]<bool kPacked, bool kWhole>() {
        return advance_state<kPacked, kWhole>(sweep, tile, first, last, state, block);
    });
    if (!paid || !finish(sweep, tile, first, units, block)) return false;
    keep_watched(state, tile, units);
    return true;
}

// A whole block in a shorter way than bar by bar, where there is one; false if there is none.
template <Rules kRules, class Door>
WINDTUNNEL_INLINE bool go_by_block(const Sweep<Door>&, Tile<Door>&, std::size_t, std::size_t,
                                   Lane&) {
    return false;
}

template <Rules kRules>
WINDTUNNEL_INLINE bool go_by_block(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                   std::size_t first, std::size_t last, Lane& units) {
    if (last - first != kMeasuredBars) return false;
    if (sweep.terms.borrow_rate() > 0.0 || sweep.terms.financing_rate() > 0.0) return false;
    for (std::size_t t = first; t < last; ++t) {
        if (sweep.market.tradable[t] == 0) return false;
    }
    // Made once a thread, so that lanes nobody looks at hold numbers and not just anything.
    static thread_local Block block{};
    if constexpr (kRules == Rules::plain) {
        return advance_flags(sweep, tile, first, units, block);
    } else if constexpr (kRules == Rules::stops) {
        return sweep.terms.fill != Fill::next_open &&
               advance_watched(sweep, tile, first, units, block);
    }
    return false;
}
