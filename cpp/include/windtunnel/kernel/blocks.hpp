// What flags by blocks have in common, without stops (flags.hpp) and with them (watched.hpp).
// Compiled once for each level; see levels.hpp.

// Accounts that are worked out one by one, in memory.
struct LaneAccounts {
    Lane cash, units, turnover, costs, fills;
};

WINDTUNNEL_INLINE LaneAccounts accounts_before(const Account<Lane>& account, const Lane& units) {
    return {account.cash, units, account.turnover, account.costs, account.fills};
}

WINDTUNNEL_INLINE void keep_accounts(const LaneAccounts& state, Account<Lane>& account,
                                     Lane& units) {
    account.cash = state.cash;
    account.turnover = state.turnover;
    account.costs = state.costs;
    account.fills = state.fills;
    units = state.units;
}

// Moves a holding to `wanted` at `price`, and adds the order to the turnover of `capital`.
WINDTUNNEL_INLINE void fill_lane(LaneAccounts& state, std::size_t l, double wanted, double price,
                                 double rate, double capital) {
    const double paid = (wanted - state.units[l]) * price;
    const double value = magnitude(paid);
    const double cost = value * rate;
    state.cash[l] -= paid + cost;
    state.costs[l] += cost;
    state.fills[l] += 1.0;
    state.turnover[l] += value / capital;
    state.units[l] = wanted;
}

// `number` where it is asked for, else zero; no processor has to guess which.
WINDTUNNEL_INLINE double where(bool asked, double number) {
    std::uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    bits &= std::uint64_t{0} - static_cast<std::uint64_t>(asked);
    std::memcpy(&number, &bits, sizeof bits);
    return number;
}

// Enters where there is no position and leaves where there is one; false if that cannot be paid.
WINDTUNNEL_INLINE bool order_lane(LaneAccounts& state, const Lane& entry, std::size_t l,
                                  double price, double rate) {
    const double units = state.units[l];
    const double capital = state.cash[l] + units * price;
    if (!(capital > 0.0)) [[unlikely]]
        return false;
    const double target = where(units == 0.0, entry[l]);
    fill_lane(state, l, target * capital / price, price, rate, capital);
    return true;
}

// A block of bars on its way: which lanes fill orders at each of them, and what those leave in them
// (other lanes are never looked at).
struct Block {
    std::uint32_t lanes[kMeasuredBars];
    Lane cash[kMeasuredBars], units[kMeasuredBars];

    WINDTUNNEL_INLINE void note(const LaneAccounts& state, std::size_t k, std::size_t l) {
        cash[k][l] = state.cash[l];
        units[k][l] = state.units[l];
    }
};

// One part of a tile, marked to the closes of a block.
struct MarkedPart {
    const Block* block;
    const double* closes;
    double maintenance;
    std::size_t lane;
    Part cash, units, exposure, equity;
    Truth broke{};

    struct Bar {
        Part equity, gross;
    };

    MarkedPart() = default;
    // `holding` is what was held before the block.
    WINDTUNNEL_INLINE MarkedPart(const Sweep<Signals>& sweep, const Tile<Signals>& tile,
                                 std::size_t first, const Lane& holding, const Block& filled,
                                 std::size_t from)
        : block(&filled),
          closes(sweep.market.mark.data() + first),
          maintenance(sweep.terms.maintenance),
          lane(from),
          cash(load_part(tile.account.cash.value + lane)),
          units(load_part(holding.value + lane)),
          exposure(load_part(tile.account.exposure.value + lane)) {}

    template <bool kChecks>
    WINDTUNNEL_INLINE Bar bar(std::size_t k) {
        const Truth filled = true_bits_of(block->lanes[k], lane / WINDTUNNEL_WIDTH);
        cash = choose(filled, load_part(block->cash[k].value + lane), cash);
        units = choose(filled, load_part(block->units[k].value + lane), units);
        const Part value = units * closes[k];
        const Bar bar{cash + value, magnitude(value)};
        if constexpr (kChecks) broke = either(broke, at_most(bar.equity, bar.gross * maintenance));
        return bar;
    }

    WINDTUNNEL_INLINE void mark(const Bar& bar, Part by_equity) {
        exposure += bar.gross * by_equity;
        equity = bar.equity;
    }

    WINDTUNNEL_INLINE void store(Account<Lane>& account) const {
        store_part(exposure, account.exposure.value + lane);
        store_part(equity, account.equity.value + lane);
    }
};

// Marks all lanes to the closes of a block; false if one has to be liquidated, and then nothing has
// changed.
WINDTUNNEL_INLINE bool finish(const Sweep<Signals>& sweep, Tile<Signals>& tile, std::size_t first,
                              const Lane& holding, Block& block) {
    const auto begin = [&](std::size_t lane) {
        return MarkedPart(sweep, tile, first, holding, block, lane);
    };
    return go_and_measure(sweep, tile, first, sweep.terms.maintenance > 0.0, begin);
}

// Events of a block as time goes.
struct Queue {
    std::uint16_t place[2 * kMeasuredBars * kLanes];
    std::size_t count;
};

// Lists the bits of a word, counted from `base` on. The first few without asking whether there are
// any: what an empty word writes is written over.
WINDTUNNEL_INLINE void list_bits(std::uint64_t word, std::size_t base, Queue& queue) {
    std::size_t count = queue.count;
    const auto take = [&] {
        const auto bit = static_cast<std::size_t>(__builtin_ctzll(word | (std::uint64_t{1} << 63)));
        queue.place[count] = static_cast<std::uint16_t>(base + bit);
        count += word != 0 ? 1 : 0;
        word &= word - 1;
    };
    for (int i = 0; i < 3; ++i) take();
    while (word != 0) [[unlikely]]
        take();
    queue.count = count;
}

// Calls `take` with each of `bars` bars, and with the lanes that its flags to enter and to leave
// name.
template <bool kPacked, bool kWhole, class Take>
WINDTUNNEL_INLINE void read_bars(const Signals& door, const Signals::Tile& tile, std::size_t first,
                                 std::size_t bars, const Take& take) {
    const std::size_t width = kWhole ? kLanes : tile.width;
    const std::size_t stride = door.row();
    const std::uint8_t* entries = door.entries_of(tile, first);
    const std::uint8_t* exits = door.exits_of(tile, first);
    for (std::size_t k = 0; k < bars; ++k, entries += stride, exits += stride) {
        __builtin_prefetch(entries + kMeasuredBars * stride);
        __builtin_prefetch(exits + kMeasuredBars * stride);
        take(k, read_flags<kPacked>(entries, width), read_flags<kPacked>(exits, width));
    }
}

// With the form of the flags known where it is compiled.
template <class Take>
WINDTUNNEL_INLINE void read_block(const Signals& door, const Signals::Tile& tile, std::size_t first,
                                  std::size_t bars, const Take& take) {
    if (!door.packed()) {
        read_bars<false, false>(door, tile, first, bars, take);
    } else if (tile.width == kLanes) {
        read_bars<true, true>(door, tile, first, bars, take);
    } else {
        read_bars<true, false>(door, tile, first, bars, take);
    }
}
