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

// A block of bars on its way: which lanes fill orders at each of them, what those leave in them
// (other lanes are never looked at), and, where somebody wants it, the equity at each close.
struct Block {
    std::uint32_t lanes[kMeasuredBars];
    Lane cash[kMeasuredBars], units[kMeasuredBars], equity[kMeasuredBars];

    WINDTUNNEL_INLINE void note(const LaneAccounts& state, std::size_t k, std::size_t l) {
        cash[k][l] = state.cash[l];
        units[k][l] = state.units[l];
    }
};

// One part of a tile, marked to the closes of a block.
struct MarkedPart {
    Part cash, units, exposure, equity, inverse;
    Truth broke{};

    MarkedPart() = default;
    WINDTUNNEL_INLINE MarkedPart(const Account<Lane>& account, const Lane& holding,
                                 std::size_t lane)
        : cash(load_part(account.cash.value + lane)),
          units(load_part(holding.value + lane)),
          exposure(load_part(account.exposure.value + lane)) {}

    template <bool kChecks>
    WINDTUNNEL_INLINE void bar(const Block& block, std::size_t k, std::size_t lane, double mark,
                               double maintenance) {
        const Truth filled = true_bits_of(block.lanes[k], lane / WINDTUNNEL_WIDTH);
        cash = choose(filled, load_part(block.cash[k].value + lane), cash);
        units = choose(filled, load_part(block.units[k].value + lane), units);
        const Part value = units * mark;
        const Part gross = magnitude(value);
        equity = cash + value;
        if constexpr (kChecks) broke = either(broke, at_most(equity, gross * maintenance));
        inverse = 1.0 / equity;
        exposure += gross * inverse;
    }

    WINDTUNNEL_INLINE void store(Account<Lane>& account, std::size_t lane) const {
        store_part(exposure, account.exposure.value + lane);
        store_part(equity, account.equity.value + lane);
        store_part(inverse, account.inverse.value + lane);
    }
};

// Marks all lanes to the closes of a block, and measures each part while its numbers are still in
// registers; false if a lane has to be liquidated, and then nothing has changed. `holding` is what
// was held before the block.
//
// Without `kChecks` (and a level of maintenance) an account at its end shows in its measures: an
// equity below zero turns the inverse of the peak negative, and one of zero leaves an infinity.
template <bool kMeasures, bool kRuin, bool kChecks>
[[gnu::noinline]] bool mark_and_measure(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                        std::size_t first, const Lane& holding, Block& block) {
    const double* mark = sweep.market.mark.data() + first;
    const double maintenance = sweep.terms.maintenance;
    const bool keeps = sweep.results.equity != nullptr;
    MarkedPart marks[kParts];
    MeasuredPart<kRuin> measures[kParts];
    bool broke = false;
    for (std::size_t p = 0; p < kParts; ++p) {
        const std::size_t lane = p * WINDTUNNEL_WIDTH;
        MarkedPart marked(tile.account, holding, lane);
        MeasuredPart<kRuin> part;
        if constexpr (kMeasures) part = MeasuredPart<kRuin>(*tile.measured, lane);
        const auto mark_bar = [&](std::size_t k) {
            marked.template bar<kChecks>(block, k, lane, mark[k], maintenance);
            if (keeps) store_part(marked.equity, block.equity[k].value + lane);
        };
        mark_bar(0);
        if constexpr (kMeasures) part.begin(marked.equity);
        for (std::size_t k = 1; k <= kMeasuredBars; ++k) {
            // A bar is measured while the next one's division is on its way.
            const Part now = marked.equity, by_now = marked.inverse;
            if (k < kMeasuredBars) mark_bar(k);
            if constexpr (kMeasures) part.bar(now, by_now);
        }
        if constexpr (!kChecks) marked.broke = part.may_be_broke();
        broke = broke || holds(marked.broke);
        marks[p] = marked;
        measures[p] = part;
    }
    if (broke) [[unlikely]]
        return false;
    for (std::size_t p = 0; p < kParts; ++p) marks[p].store(tile.account, p * WINDTUNNEL_WIDTH);
    if constexpr (kMeasures) {
        MeasuredTile& measured = *tile.measured;
        const Joint joint(static_cast<double>(measured.measured), double{kMeasuredBars});
        for (std::size_t p = 0; p < kParts; ++p) {
            measures[p].store(measured, joint, p * WINDTUNNEL_WIDTH);
        }
        measured.measured += kMeasuredBars;
    }
    for (std::size_t k = 0; keeps && k < kMeasuredBars; ++k) {
        write_row(sweep.results.equity, sweep, tile, first + k, Row(block.equity[k]));
    }
    return true;
}

// In the cheapest way that fits.
WINDTUNNEL_INLINE bool finish(const Sweep<Signals>& sweep, Tile<Signals>& tile, std::size_t first,
                              const Lane& holding, Block& block) {
    if (tile.measured == nullptr) {
        return mark_and_measure<false, false, true>(sweep, tile, first, holding, block);
    }
    if (tile.measured->may_be_ruined) [[unlikely]] {
        return mark_and_measure<true, true, true>(sweep, tile, first, holding, block);
    }
    return sweep.terms.maintenance > 0.0
               ? mark_and_measure<true, false, true>(sweep, tile, first, holding, block)
               : mark_and_measure<true, false, false>(sweep, tile, first, holding, block);
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

// Calls `take` with every bar of a block, and with the lanes that its flags to enter and to leave
// name.
template <bool kPacked, bool kWhole, class Take>
WINDTUNNEL_INLINE void read_bars(const Signals& door, const Signals::Tile& tile, std::size_t first,
                                 const Take& take) {
    const std::size_t width = kWhole ? kLanes : tile.width;
    const std::size_t stride = door.row();
    const std::uint8_t* entries = door.entries_of(tile, first);
    const std::uint8_t* exits = door.exits_of(tile, first);
    for (std::size_t k = 0; k < kMeasuredBars; ++k, entries += stride, exits += stride) {
        __builtin_prefetch(entries + kMeasuredBars * stride);
        __builtin_prefetch(exits + kMeasuredBars * stride);
        take(k, read_flags<kPacked>(entries, width), read_flags<kPacked>(exits, width));
    }
}

// With the form of the flags known where it is compiled.
template <class Take>
WINDTUNNEL_INLINE void read_block(const Signals& door, const Signals::Tile& tile, std::size_t first,
                                  const Take& take) {
    if (!door.packed()) {
        read_bars<false, false>(door, tile, first, take);
    } else if (tile.width == kLanes) {
        read_bars<true, true>(door, tile, first, take);
    } else {
        read_bars<true, false>(door, tile, first, take);
    }
}
