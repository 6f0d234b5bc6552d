// From what a front door was given to target exposures. Compiled once for each level; see
// levels.hpp. A door offers begin_bar, observe and decide; decide is false without any decision.

// Where a decision is made and where its order fills.
struct Moment {
    std::size_t decided;
    std::size_t filled;
};

WINDTUNNEL_INLINE void note_size(Working& a, const Row& input) {
    a.peak_input = larger(a.peak_input, magnitude(input));
}

inline constexpr std::size_t kRowsAhead = 32;

// Asks for what follows a tile of a row that is `row` numbers long. The next tiles come to this bar
// soon, and this tile to the rows below: no processor guesses either stride.
template <class Number>
WINDTUNNEL_INLINE void prefetch_tile(const Number* from, std::size_t row) {
    for (std::size_t line = 0; line < kLanes * sizeof(Number); line += 64) {
        // Far enough ahead for memory to answer in time.
        __builtin_prefetch(reinterpret_cast<const char*>(from + 3 * kLanes) + line);
        __builtin_prefetch(reinterpret_cast<const char*>(from + kRowsAhead * row) + line);
    }
}

template <class Number>
WINDTUNNEL_INLINE Row read_tile(const Number* from, std::size_t row) {
    prefetch_tile(from, row);
    return Row(from);
}

// Whether a decision asks for an order, given the capital that sizes it.
template <class Door>
WINDTUNNEL_INLINE Mask orders_of(const Door&, const Row& target, const Row& capital,
                                 const Row& units, double price, const Row& band) {
    return wants_order(target, capital, units, price, band);
}

template <class Door>
WINDTUNNEL_INLINE void begin_bar(const Door&, Tile<Door>&, std::uint32_t) {}

// What the close of a bar says to a door that has a memory of its own.
template <class Door>
WINDTUNNEL_INLINE void observe(const Door&, Tile<Door>&, const Market&, std::size_t) {}

// -- Exposures ---------------------------------------------------------------------------------

// Targets of a row of (T N).
template <class Number>
WINDTUNNEL_INLINE Row target_at(const Exposures<Number>& exposures,
                                const Tile<Exposures<Number>>& tile, Working& a, std::size_t row) {
    const Number* from = exposures.values + row * exposures.configurations + tile.door.first;
    Row target;
    if (tile.width == kLanes) [[likely]] {
        target = read_tile(from, exposures.configurations);
    } else {
        // The last tile must not read beyond the last configuration.
        Lane part;
        part.fill(__builtin_nan(""));
        for (std::size_t l = 0; l < tile.width; ++l) part[l] = static_cast<double>(from[l]);
        target = Row(part);
    }
    note_size(a, target);
    return target;
}

template <class Number>
WINDTUNNEL_INLINE bool decide(const Exposures<Number>& exposures, Tile<Exposures<Number>>& tile,
                              Working& a, const Lane&, const Market& market, const Moment& moment,
                              std::size_t n, Row& target) {
    target = target_at(exposures, tile, a, moment.decided * market.instruments + n);
    return true;
}

// -- Policies ----------------------------------------------------------------------------------

// The next signals, in {-1, 0, +1}; the meaning of enter and exit.
//
// `windtunnel.backtest.policy` says the same in NumPy for the served path. A held signal lives
// while the score agrees with it and reaches `least` = min(enter, exit); otherwise, and from flat,
// a score that reaches `enter` sets the signal to its sign. NaN is no opinion: the signal stays.
// `lowest` is 0 where short positions are out of reach, else -1. `Score` is a row, or the number
// that all lanes share.
WINDTUNNEL_INLINE double side_of_score(double score, double lowest) {
    // No processor can guess the sign of a score.
    return static_cast<double>(score > 0.0) + lowest * static_cast<double>(score < 0.0);
}
WINDTUNNEL_INLINE Row side_of_score(const Row& score, double lowest) {
    return select(score > 0.0, 1.0, select(score < 0.0, lowest, 0.0));
}
WINDTUNNEL_INLINE double magnitude(double number) {
    return __builtin_fabs(number);
}
template <class Score>
WINDTUNNEL_INLINE Row next_signal(const Row& signal, const Score& score, const Row& enter,
                                  const Row& least, double lowest) {
    const Row strength = magnitude(score);
    const Row entered = select(enter <= strength, side_of_score(score, lowest), 0.0);
    const Row held = select(least <= strength, signal, 0.0);
    return select(signal * score > 0.0, held, entered);
}

WINDTUNNEL_INLINE Row signal_after(const Policies& policies, const Policies::Tile& tile, Working& a,
                                   const Row& signal, const float* row) {
    const Row enter(tile.enter), least(tile.least);
    const double lowest = policies.lowest_signal();
    if (tile.load == Policies::Tile::Load::shared) [[likely]] {
        const double score = static_cast<double>(row[tile.column[0]]);
        if (score != score) return signal;
        note_size(a, score);
        return next_signal(signal, score, enter, least, lowest);
    }
    Row score;
    if (tile.load == Policies::Tile::Load::adjacent) {
        score = read_tile(row + tile.column[0], policies.columns());
    } else {
        Lane scattered;
        for (std::size_t l = 0; l < kLanes; ++l) {
            scattered[l] = static_cast<double>(row[tile.column[l]]);
        }
        score = Row(scattered);
    }
    note_size(a, score);
    return select(score == score, next_signal(signal, score, enter, least, lowest), signal);
}

// The exposure that a signal asks for.
WINDTUNNEL_INLINE Row target_of(const Policies& policies, const Policies::Tile& tile,
                                const Row& signal, std::size_t at) {
    Row share(tile.share);
    if (policies.volatility() != nullptr) {
        // As much leverage as brings the volatility to the target, up to the cap.
        const Row leverage = Row(tile.volatility_target) / policies.volatility()[at];
        share = smaller(leverage, Row(tile.leverage)) / static_cast<double>(tile.listed);
    }
    return signal * share;
}

WINDTUNNEL_INLINE void begin_bar(const Policies&, Tile<Policies>& tile, std::uint32_t listed) {
    if (listed != tile.door.listed && listed != 0) Policies::divide_leverage(tile.door, listed);
}

WINDTUNNEL_INLINE bool decide(const Policies& policies, Tile<Policies>& tile, Working& a,
                              const Lane&, const Market& market, const Moment& moment,
                              std::size_t n, Row& target) {
    const std::size_t at = moment.decided * market.instruments + n;
    // Without a bar there is neither an opinion nor a decision.
    if (!market.listed[at]) return false;
    const Row signal =
        signal_after(policies, tile.door, a, Row(tile.signals[n]), policies.scores_at(at));
    signal.store(tile.signals[n]);
    target = target_of(policies, tile.door, signal, at);
    return true;
}

// -- Signals -----------------------------------------------------------------------------------

// Flags of `width` lanes as bits; `from` is where the tile begins in a row.
template <bool kPacked>
WINDTUNNEL_INLINE std::uint32_t read_flags(const std::uint8_t* from, std::size_t width) {
    if constexpr (kPacked) {
        std::uint32_t bits = from[0];
        if (width > 8) bits |= static_cast<std::uint32_t>(from[1]) << 8;
        // What a caller left in the bits beyond the last configuration does not count.
        return bits & ((std::uint32_t{1} << width) - 1);
    }
    if (width == kLanes) [[likely]] {
        __builtin_prefetch(from + 12 * kLanes);
        return bits_of_lanes(from);
    }
    std::uint8_t part[kLanes] = {};
    std::memcpy(part, from, width);
    return bits_of_lanes(part);
}

// What is wished for after a bar. A flag to enter and one to leave together are no word.
template <class Bits>
WINDTUNNEL_INLINE Bits hear(const Bits& wish, const Bits& entry, const Bits& exit) {
    return (wish | (entry & ~exit)) & ~(exit & ~entry);
}

WINDTUNNEL_INLINE void observe(const Signals& door, Tile<Signals>& tile, const Market& market,
                               std::size_t t) {
    for (std::size_t n = 0; n < market.instruments; ++n) {
        const std::size_t at = t * market.instruments + n;
        if (!market.listed[at]) continue;
        const auto read = [&](const std::uint8_t* from) {
            return door.packed() ? read_flags<true>(from, tile.door.width)
                                 : read_flags<false>(from, tile.door.width);
        };
        tile.wishes[n] = hear(tile.wishes[n], read(door.entries_of(tile.door, at)),
                              read(door.exits_of(tile.door, at)));
    }
}

// Every decision is an order, as long as the account is there to pay for it.
WINDTUNNEL_INLINE Mask orders_of(const Signals&, const Row& target, const Row& capital, const Row&,
                                 double, const Row& band) {
    return (capital > 0.0) & (target == target) & (band == 0.0);
}

// An entry where there is no position yet, an exit where there still is one, and nothing in
// between. The entry spends its size, the costs in proportion to it included.
WINDTUNNEL_INLINE bool decide(const Signals&, Tile<Signals>& tile, Working&, const Lane&,
                              const Market& market, const Moment& moment, std::size_t n,
                              Row& target) {
    const std::uint32_t held = tile.held[n];
    const std::uint32_t wish = tile.wishes[n];
    if (held == wish) return false;
    const Row entry = market.detailed()
                          ? Row(tile.door.size) / (1.0 + market.trading_rate(moment.filled, n))
                          : Row(tile.door.entry);
    target =
        select(mask_of(wish & ~held), entry, select(mask_of(held & ~wish), 0.0, __builtin_nan("")));
    return true;
}

// Which lanes are in, asked of the units. Orders of signals say so beforehand: processors then
// know early which bars have an order, without waiting for the arithmetic of the last one.
template <class Door>
WINDTUNNEL_INLINE void ask_units(Tile<Door>&, const Lane*, std::size_t) {}

[[gnu::noinline]] inline void ask_units(Tile<Signals>& tile, const Lane* units,
                                        std::size_t instruments) {
    for (std::size_t n = 0; n < instruments; ++n) tile.held[n] = bits_of(Row(units[n]) != 0.0);
}

template <class Door>
WINDTUNNEL_INLINE void note_filled(Tile<Door>&, const Lane*, std::size_t) {}

WINDTUNNEL_INLINE void note_filled(Tile<Signals>& tile, const Lane* units, std::size_t n) {
    tile.held[n] = tile.wishes[n];
    // An account without capital has filled nothing.
    if (bits_of(Row(units[n]) != 0.0) != tile.wishes[n]) [[unlikely]] {
        ask_units(tile, units, n + 1);
    }
}
