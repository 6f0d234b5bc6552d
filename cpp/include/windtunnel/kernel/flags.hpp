// Flags of one instrument, a block of bars at a time. Compiled once for each level; see levels.hpp.
//
// Few bars of a configuration have an order, but many bars of a tile have one in some lane, and a
// processor guesses wrongly which. So bits say first who orders when; each order is then worked
// out by itself; and last all lanes are marked to every close, with what the orders left put in
// where they filled. Numbers come from the same operations as in advance_units, bit for bit.

// Orders as time goes: a bar times kLanes plus a lane each.
WINDTUNNEL_INLINE void list_orders(const Words& orders, std::size_t from, Block& block,
                                   Queue& queue) {
    static_assert(kLanes == 16, "four bars fill a word");
    Words bar = 1;
    for (std::size_t k = from; k < from + kWordBars; ++k) {
        block.lanes[k] = lanes_with(orders, bar);
        bar = bar << 1;
    }
    for (std::size_t k = from; k < from + kWordBars; k += 4) {
        const std::uint32_t* lanes = block.lanes + k;
        const std::uint64_t early = lanes[0] | lanes[1] << kLanes;
        const std::uint64_t late = lanes[2] | lanes[3] << kLanes;
        list_bits(early | late << 32, k * kLanes, queue);
    }
}

// Fills the orders one by one; false if an account cannot pay for one.
WINDTUNNEL_INLINE bool fill_one_by_one(const Queue& queue, const Lane& entry, const double* price,
                                       double rate, LaneAccounts& state, Block& block) {
    for (std::size_t i = 0; i < queue.count; ++i) {
        const std::size_t k = queue.place[i] / kLanes;
        const std::size_t l = queue.place[i] % kLanes;
        if (!order_lane(state, entry, l, price[k], rate)) return false;
        block.note(state, k, l);
    }
    return true;
}

// A block whose every bar can be traded, without interest to pay; false if an account comes to its
// end in it, and then nothing has changed.
[[gnu::noinline]] inline bool advance_flags(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                            std::size_t first, Lane& units, Block& block) {
    const Words live = words_of_lanes(bits_of(Row(tile.account.open) > 0.0));
    const Words last = std::uint32_t{1} << (kWordBars - 1);
    std::uint32_t wish = tile.wishes[0], held = tile.held[0];
    Queue queue;
    queue.count = 0;
    for (std::size_t k = 0; k < kMeasuredBars; k += kWordBars) {
        Words entries = 0, exits = 0, bar = 1;
        read_block(sweep.door, tile.door, first + k, kWordBars,
                   [&](std::size_t, std::uint32_t enter, std::uint32_t leave) {
                       add_lanes(entries, enter, bar);
                       add_lanes(exits, leave, bar);
                       bar = bar << 1;
                   });
        // As long as nobody is liquidated: an order where what is decided is not what is held.
        const Words before = found_set(entries, exits, wish);
        const Words after = hear(before, entries, exits);
        const Words decided = (delay(sweep.terms.fill) != 0 ? before : after) & live;
        list_orders(decided ^ ((decided << 1) | (words_of_lanes(held) & 1)), k, block, queue);
        wish = lanes_with(after, last);
        held = lanes_with(decided, last);
    }
    LaneAccounts state = accounts_before(tile.account, units);
    const double* price = sweep.market.fill_price.data() + first;
    if (!fill_one_by_one(queue, tile.door.entry, price, Rates(sweep.terms).trading, state, block) ||
        !finish(sweep, tile, first, units, block)) {
        return false;
    }
    keep_accounts(state, tile.account, units);
    tile.wishes[0] = wish;
    tile.held[0] = held;
    return true;
}
