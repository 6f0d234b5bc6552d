// Flags of one instrument, a block of bars at a time. Compiled once for each level; see levels.hpp.
//
// Few bars of a configuration have an order, but many bars of a tile have one in some lane, and a
// processor guesses wrongly which. So bits say first who orders when; each order is then worked
// out by itself; and last all lanes are marked to every close, with what the orders left put in
// where they filled. Numbers come from the same operations as in advance_units, bit for bit.

// Orders of a block, and what they leave in their lanes. Other lanes are never looked at.
struct FlagOrders {
    struct Left {
        Lane cash, units;
    };

    std::uint32_t lanes[kMeasuredBars];           // bits of those that order at a bar
    std::uint16_t queue[kMeasuredBars * kLanes];  // bar times kLanes plus lane, as time goes
    std::size_t count;
    Left left[kMeasuredBars];
};

// Lists the bits of a word of four bars. The first few without asking whether there are any: what
// an empty word writes is written over.
WINDTUNNEL_INLINE void list_orders(FlagOrders& orders, std::uint64_t word, std::size_t first) {
    const auto take = [&] {
        const auto bit = static_cast<std::size_t>(__builtin_ctzll(word | (std::uint64_t{1} << 63)));
        orders.queue[orders.count] = static_cast<std::uint16_t>(first + bit);
        orders.count += word != 0 ? 1 : 0;
        word &= word - 1;
    };
    for (int i = 0; i < 3; ++i) take();
    while (word != 0) [[unlikely]]
        take();
}

// Who orders when, as long as nobody is liquidated; only `live` lanes do. `wish` and `held` are the
// lanes that want to be in and that are, before the block and afterwards.
template <bool kPacked, bool kWhole>
WINDTUNNEL_INLINE void find_orders(const Sweep<Signals>& sweep, const Signals::Tile& tile,
                                   std::size_t first, std::size_t bars, std::uint32_t live,
                                   std::uint32_t& wish, std::uint32_t& held, FlagOrders& orders) {
    static_assert(kLanes == 16, "four bars fill a word");
    const bool hears_late = delay(sweep.terms.fill) != 0;
    const std::size_t width = kWhole ? kLanes : tile.width;
    const std::size_t stride = sweep.door.row();
    const std::uint8_t* entries = sweep.door.entries_of(tile, first);
    const std::uint8_t* exits = sweep.door.exits_of(tile, first);
    std::uint64_t word = 0;
    orders.count = 0;
    for (std::size_t k = 0; k < bars; ++k, entries += stride, exits += stride) {
        const std::uint32_t entry = read_flags<kPacked>(entries, width);
        const std::uint32_t exit = read_flags<kPacked>(exits, width);
        const std::uint32_t heard = hear(wish, entry, exit);
        const std::uint32_t decided = hears_late ? wish : heard;
        wish = heard;
        const std::uint32_t lanes = (decided ^ held) & live;
        held = decided & live;
        orders.lanes[k] = lanes;
        word |= static_cast<std::uint64_t>(lanes) << (k % 4 * kLanes);
        if (k % 4 == 3 || k + 1 == bars) {
            list_orders(orders, word, (k - k % 4) * kLanes);
            word = 0;
        }
    }
}

// Fills the orders one by one; false if an account cannot pay for one.
WINDTUNNEL_INLINE bool fill_one_by_one(const Lane& entry, const double* price, double rate,
                                       LaneAccounts& state, FlagOrders& orders) {
    for (std::size_t i = 0; i < orders.count; ++i) {
        const std::size_t k = orders.queue[i] / kLanes;
        const std::size_t l = orders.queue[i] % kLanes;
        if (!order_lane(state, entry, l, price[k], rate)) return false;
        orders.left[k].cash[l] = state.cash[l];
        orders.left[k].units[l] = state.units[l];
    }
    return true;
}

// Marks all lanes to the closes of a block; false if one of them has to be liquidated.
WINDTUNNEL_INLINE bool mark_block(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                  std::size_t first, std::size_t bars, double maintenance,
                                  const Lane& units_before, const FlagOrders& orders) {
    Row cash(tile.account.cash), units(units_before);
    Marks marks(tile.account);
    for (std::size_t k = 0; k < bars; ++k) {
        const Mask filled = mask_of(orders.lanes[k]);
        cash = select(filled, Row(orders.left[k].cash), cash);
        units = select(filled, Row(orders.left[k].units), units);
        if (!mark_bar(sweep, tile, first + k, cash, units, maintenance, marks)) return false;
    }
    marks.store(tile.account);
    return true;
}

// A block whose every bar can be traded, without interest to pay; false if an account comes to its
// end in it, and then the tile is as it was but for the bars that wait to be measured.
[[gnu::noinline]] inline bool advance_flags(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                            std::size_t first, std::size_t last, Lane& units,
                                            FlagOrders& orders) {
    const std::size_t bars = last - first;
    const Rates rates(sweep.terms);
    const std::uint32_t live = bits_of(Row(tile.account.open) > 0.0);
    std::uint32_t wish = tile.wishes[0], held = tile.held[0];
    by_form(sweep.door, tile.width, [&]<bool kPacked, bool kWhole>() {
        find_orders<kPacked, kWhole>(sweep, tile.door, first, bars, live, wish, held, orders);
        return true;
    });
    LaneAccounts state = accounts_before(tile.account, units);
    const double* price = sweep.market.fill_price.data() + first;
    if (!fill_one_by_one(tile.door.entry, price, rates.trading, state, orders) ||
        !mark_block(sweep, tile, first, bars, rates.maintenance, units, orders)) {
        return false;
    }
    keep_accounts(state, tile.account, units);
    tile.wishes[0] = wish;
    tile.held[0] = held;
    return true;
}
