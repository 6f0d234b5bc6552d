// From what a front door was given to target exposures. Compiled once for each level; see
// levels.hpp. A door offers begin_bar and decide; decide is false without any decision.

WINDTUNNEL_INLINE void note_size(Working& a, const Row& input) {
    const Row size = magnitude(input);
    a.peak_input = select(size > a.peak_input, size, a.peak_input);
}

// The neighbouring tile comes to this bar soon, and no processor guesses the stride in between.
template <class Number>
WINDTUNNEL_INLINE Row read_tile(const Number* from) {
    __builtin_prefetch(from + kLanes);
    return Row(from);
}

template <class Number>
WINDTUNNEL_INLINE void begin_bar(const Exposures<Number>&, typename Exposures<Number>::Tile&,
                                 std::uint32_t) {}

template <class Number>
WINDTUNNEL_INLINE bool decide(const Exposures<Number>& exposures,
                              typename Exposures<Number>::Tile& tile, Working& a, Lane*,
                              const Market& market, std::size_t t, std::size_t n, Row& target) {
    const Number* from =
        exposures.values + (t * market.instruments + n) * exposures.configurations + tile.first;
    if (tile.width == kLanes) [[likely]] {
        target = read_tile(from);
    } else {
        // The last tile must not read beyond the last configuration.
        Lane part;
        part.fill(__builtin_nan(""));
        for (std::size_t l = 0; l < tile.width; ++l) part[l] = static_cast<double>(from[l]);
        target = Row(part);
    }
    note_size(a, target);
    return true;
}

// The next signals, in {-1, 0, +1}; the meaning of enter and exit.
//
// `windtunnel.backtest.policy` says the same in NumPy for the served path. A held signal lives
// while the score agrees with it and reaches `least` = min(enter, exit); otherwise, and from flat,
// a score that reaches `enter` sets the signal to its sign. NaN is no opinion: the signal stays.
// `lowest` is 0 where short positions are out of reach, else -1.
WINDTUNNEL_INLINE Row next_signal(const Row& signal, const Row& score, const Row& enter,
                                  const Row& least, double lowest) {
    const Row strength = magnitude(score);
    const Row side = select(score > 0.0, 1.0, select(score < 0.0, lowest, 0.0));
    const Row entered = select(strength >= enter, side, 0.0);
    const Row held = select(strength >= least, signal, 0.0);
    const Row next = select(score * signal > 0.0, held, entered);
    return select(score == score, next, signal);
}

WINDTUNNEL_INLINE Row read_scores(const Policies::Tile& tile, const float* row) {
    if (tile.load == Policies::Tile::Load::shared) return static_cast<double>(row[tile.column[0]]);
    if (tile.load == Policies::Tile::Load::adjacent) return read_tile(row + tile.column[0]);
    Lane scattered;
    for (std::size_t l = 0; l < kLanes; ++l) {
        scattered[l] = static_cast<double>(row[tile.column[l]]);
    }
    return Row(scattered);
}

WINDTUNNEL_INLINE void begin_bar(const Policies&, Policies::Tile& tile, std::uint32_t listed) {
    if (listed != tile.listed && listed != 0) Policies::divide_leverage(tile, listed);
}

WINDTUNNEL_INLINE bool decide(const Policies& policies, Policies::Tile& tile, Working& a,
                              Lane* signals, const Market& market, std::size_t t, std::size_t n,
                              Row& target) {
    const std::size_t at = t * market.instruments + n;
    // Without a bar there is neither an opinion nor a decision.
    if (!market.listed[at]) return false;
    const Row score = read_scores(tile, policies.scores_at(at));
    note_size(a, score);
    const Row signal = next_signal(Row(signals[n]), score, Row(tile.enter), Row(tile.least),
                                   policies.lowest_signal());
    signal.store(signals[n]);
    target = signal * Row(tile.share);
    return true;
}
