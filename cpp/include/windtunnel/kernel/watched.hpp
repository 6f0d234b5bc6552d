// Flags with stops of one instrument whose orders fill at closes, a block of bars at a time.
// Compiled once for each level; see levels.hpp.
//
// Where a stop lies depends on prices and on flags, never on money. So all lanes find out first
// what happens to them when, without a branch; then their fills are worked out one by one, and last
// all lanes are marked. Numbers come from the same operations as in stops.hpp, bit for bit.

// Exits at levels and orders of a block, and the levels that every bar has found, in prices times
// side.
struct StoppedBlock : Block {
    std::uint32_t entries[kMeasuredBars], leaves[kMeasuredBars];  // flags, bits of lanes
    std::uint32_t exits[kMeasuredBars], orders[kMeasuredBars];    // what comes of them
    Lane stop[kMeasuredBars], target[kMeasuredBars];
};

// Which lanes are in, which want to be, and where their exits lie.
struct Watched {
    std::uint32_t wish, held;  // bits of lanes
    Row entry, best, since;    // prices times side
};

// What does not change in a block. Prices of a bar are scalars times the one side that all lanes
// are on, or else rows.
template <bool kOneSided>
struct WatchTerms {
    Mask is_long;
    double one_side;
    Row loss, profit, follow;  // factors of entry and best that give the levels
    Row bars;
    std::uint32_t live;  // bits of the lanes that still trade
    bool is_timed;

    WINDTUNNEL_INLINE WatchTerms(const Tile<Signals>& tile, const Row& side)
        : is_long(side > 0.0),
          one_side(tile.door.size[0] > 0.0 ? 1.0 : -1.0),
          loss(1.0 - side * Row(tile.door.stops.loss)),
          profit(side * Row(tile.door.stops.profit) + 1.0),
          follow(1.0 - side * Row(tile.door.stops.trailing)),
          bars(tile.door.stops.bars),
          live(bits_of(Row(tile.account.open) > 0.0)),
          is_timed(any(bars < __builtin_inf())) {}

    // Of the price that is in question for long positions, and of that for short ones.
    WINDTUNNEL_INLINE Row by_side(double of_long, double of_short) const {
        if constexpr (kOneSided) return one_side * (one_side > 0.0 ? of_long : of_short);
        return select(is_long, of_long, -of_short);
    }
};

// Where positions end that were entered at `entry` and have seen `best`.
struct WatchedLevels {
    Row stop, target;

    template <class Terms>
    WINDTUNNEL_INLINE WatchedLevels(const Terms& terms, const Row& entry, const Row& best)
        : stop(larger(entry * terms.loss, best * terms.follow)), target(entry * terms.profit) {}

    WINDTUNNEL_INLINE std::uint32_t reached(const Row& worst, const Row& further) const {
        return bits_of((worst <= stop) | (further >= target));
    }
};

// What happens to the lanes, bar by bar.
template <bool kOneSided, bool kHearsLate>
[[gnu::noinline]] void watch_block(const Sweep<Signals>& sweep, const Tile<Signals>& tile,
                                   std::size_t first, const Row& side, Watched& state,
                                   StoppedBlock& block) {
    const WatchTerms<kOneSided> terms(tile, side);
    const Market& market = sweep.market;
    const double *highs = market.view.high + first, *lows = market.view.low + first;
    const double* closes = market.mark.data() + first;
    std::uint32_t wish = state.wish, held = state.held;
    Row entry = state.entry, best = state.best, since = state.since;
    // Positions that began at the last bar are asked apart from older ones, so that a bar need not
    // wait until the last one's have found their way among these.
    std::uint32_t began = 0;
    Row began_at = entry;
    const std::uint32_t over_at_once = bits_of(terms.bars <= 1.0);
    double bar = static_cast<double>(sweep.past + first);
    for (std::size_t k = 0; k < kMeasuredBars; ++k) {
        const Row further = terms.by_side(highs[k], lows[k]);
        const Row worst = terms.by_side(lows[k], highs[k]);
        const WatchedLevels old(terms, entry, best), young(terms, began_at, began_at);
        const Mask is_young = mask_of(began);
        const auto merge = [began](std::uint32_t of_young, std::uint32_t of_old) {
            return (of_young & began) | (of_old & ~began);
        };
        // A stop ends what was wished for; a flag on the same bar is heard after it. A position
        // whose time has come goes whatever the flag says.
        const std::uint32_t hits =
            held & merge(young.reached(worst, further), old.reached(worst, further));
        std::uint32_t ends = 0;
        if (terms.is_timed) {
            ends = held & ~hits & merge(over_at_once, bits_of(since + terms.bars <= bar));
            since = select(is_young, bar - 1.0, since);
        }
        held &= ~hits;
        wish &= ~hits;
        if constexpr (!kHearsLate) wish = hear(wish, block.entries[k], block.leaves[k]);
        wish &= ~ends;
        const std::uint32_t orders = (wish ^ held) & terms.live;
        held ^= orders;
        if constexpr (kHearsLate) wish = hear(wish, block.entries[k], block.leaves[k]);
        block.exits[k] = hits;
        block.orders[k] = orders;
        select(is_young, young.stop, old.stop).store(block.stop[k]);
        select(is_young, young.target, old.target).store(block.target[k]);
        entry = select(is_young, began_at, entry);
        best = larger(select(is_young, began_at, best), further);
        began = orders & held;
        began_at = terms.by_side(closes[k], closes[k]);
        bar += 1.0;
    }
    const Mask is_young = mask_of(began);
    state = {wish, held, select(is_young, began_at, entry), select(is_young, began_at, best),
             select(is_young, bar - 1.0, since)};
}

// Fills as time goes: a bar times twice kLanes, plus kLanes for an order, plus a lane.
WINDTUNNEL_INLINE void list_fills(StoppedBlock& block, Queue& queue) {
    static_assert(kLanes == 16, "two bars fill a word");
    queue.count = 0;
    for (std::size_t k = 0; k < kMeasuredBars; k += 2) {
        const std::uint64_t early = block.exits[k] | block.orders[k] << kLanes;
        const std::uint64_t late = block.exits[k + 1] | block.orders[k + 1] << kLanes;
        list_bits(early | late << 32, 2 * k * kLanes, queue);
        block.lanes[k] = block.exits[k] | block.orders[k];
        block.lanes[k + 1] = block.exits[k + 1] | block.orders[k + 1];
    }
}

// Fills exits and orders one by one, all by the same steps, since no processor could guess which
// comes next; false if an account cannot pay for one.
WINDTUNNEL_INLINE bool fill_one_by_one(const Queue& queue, const Sweep<Signals>& sweep,
                                       const Signals::Tile& tile, const Lane& sides,
                                       std::size_t first, LaneAccounts& state, Lane& ambiguous,
                                       StoppedBlock& block) {
    const Market& market = sweep.market;
    const double* mark = market.mark.data() + first;
    const double* open = market.view.open + first;
    // The further and the worse of a bar's prices, of short positions and of long ones.
    const double* extremes[] = {market.view.low + first, market.view.high + first};
    const double rate = Rates(sweep.terms).trading;
    for (std::size_t i = 0; i < queue.count; ++i) {
        const std::size_t k = queue.place[i] / (2 * kLanes);
        const std::size_t l = queue.place[i] % kLanes;
        const std::size_t exits = 1 - queue.place[i] / kLanes % 2;
        // A bar that reaches a level is left there, or at an open beyond; the stop comes first.
        const double side = sides[l];
        const std::size_t is_long = side > 0.0;
        const double stop = block.stop[k][l], target = block.target[k][l];
        const double opened = side * open[k];
        const double worst = side * extremes[1 - is_long][k];
        const double further = side * extremes[is_long][k];
        const double level = worst <= stop ? stop : target;
        const double within = opened >= target ? opened : level;
        const double left_at = side * (opened <= stop ? opened : within);
        if (exits != 0 && worst <= stop && further >= target) [[unlikely]] {
            ambiguous[l] += opened > stop && opened < target ? 1.0 : 0.0;
        }
        // An exit turns over a share of the equity at the last mark, an order one of that at the
        // close that it fills at.
        const double prices[] = {mark[k], left_at};
        const double price = prices[exits];
        const double units = state.units[l];
        const double capital = state.cash[l] + units * *(mark + k - exits);
        if (!(capital > 0.0)) [[unlikely]]
            return false;
        const bool enters = (exits == 0) & (units == 0.0);
        fill_lane(state, l, where(enters, tile.entry[l] * capital / price), price, rate, capital);
        block.note(state, k, l);
    }
    return true;
}

// As advance_flags, with stops.
[[gnu::noinline]] inline bool advance_watched(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                              std::size_t first, Lane& units, StoppedBlock& block) {
    const Row side = select(Row(tile.door.size) > 0.0, 1.0, -1.0);
    Lane sides;
    side.store(sides);
    StopState& stops = tile.stops[0];
    Watched watched{tile.wishes[0], tile.held[0], side * Row(stops.entry),
                    Row(tile.door.watch.best), Row(stops.since)};
    read_block(sweep.door, tile.door, first, kMeasuredBars,
               [&](std::size_t k, std::uint32_t enter, std::uint32_t leave) {
                   block.entries[k] = enter;
                   block.leaves[k] = leave;
               });
    const bool hears_late = delay(sweep.terms.fill) != 0;
    const bool one_sided = !any(side != Row(sides[0]));
    const auto watch = one_sided
                           ? (hears_late ? watch_block<true, true> : watch_block<true, false>)
                           : (hears_late ? watch_block<false, true> : watch_block<false, false>);
    watch(sweep, tile, first, side, watched, block);
    Queue queue;
    list_fills(block, queue);
    LaneAccounts state = accounts_before(tile.account, units);
    Lane ambiguous = tile.ambiguous;
    if (!fill_one_by_one(queue, sweep, tile.door, sides, first, state, ambiguous, block) ||
        !finish(sweep, tile, first, units, block)) {
        return false;
    }
    keep_accounts(state, tile.account, units);
    tile.ambiguous = ambiguous;
    tile.wishes[0] = watched.wish;
    tile.held[0] = watched.held;
    (side * watched.entry).store(stops.entry);
    (side * watched.best).store(stops.best);
    watched.since.store(stops.since);
    set_watch(tile, units);
    return true;
}
