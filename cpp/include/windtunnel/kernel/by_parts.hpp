// Whole blocks of bars, a part of a tile at a time, measured while its numbers are still in
// registers. Compiled once for each level; see levels.hpp.
//
// A part on its way has `bar(k)`, which takes it to the close of bar k of the block and gives what
// that leaves to be worked out: at least its `equity`. `mark` is given that once more when one over
// the equity is known, as bars go; `store` keeps what has become of the part. Where kChecks,
// `broke` says who has to be closed.

// All parts of a tile through the block that begins with bar `first`, each from what `begin` makes
// of its first lane; false if an account comes to its end, and then nothing has changed.
//
// Without `kChecks` an account at its end shows in its measures: an equity below zero turns the
// inverse of the peak negative, and one of zero leaves an infinity.
template <bool kMeasures, bool kRuin, bool kChecks, class Door, class Begin>
[[gnu::noinline]] bool go_by_parts(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                   const Begin& begin) {
    using Going = decltype(begin(0));
    // Made once a thread.
    static thread_local Lane memory[kMeasuredBars];
    Lane* const equity = sweep.results.equity != nullptr ? memory : nullptr;
    Going gone[kParts];
    MeasuredPart<kRuin> measures[kParts];
    bool broke = false;
    for (std::size_t p = 0; p < kParts; ++p) {
        const std::size_t lane = p * WINDTUNNEL_WIDTH;
        Going going = begin(lane);
        MeasuredPart<kRuin> part;
        if constexpr (kMeasures) part = MeasuredPart<kRuin>(*tile.measured, lane);
        const auto go = [&](std::size_t k) {
            const auto bar = going.template bar<kChecks>(k);
            if (equity != nullptr) store_part(bar.equity, equity[k].value + lane);
            return bar;
        };
        // A division is on its way for as long as two bars take, and what waits for it fills a
        // processor's queues. So a bar is divided by when the one after it is known, and measured
        // when the one after that is.
        auto now = go(0), next = go(1);
        Part by_now = 1.0 / now.equity;
        if constexpr (kMeasures) part.begin(now.equity);
        const auto measure_bar = [&] {
            going.mark(now, by_now);
            if constexpr (kMeasures) part.bar(now.equity, by_now);
        };
        for (std::size_t k = 2; k < kMeasuredBars; ++k) {
            const auto after = go(k);
            const Part by_next = 1.0 / next.equity;
            measure_bar();
            now = next, next = after, by_now = by_next;
        }
        const Part by_next = 1.0 / next.equity;
        measure_bar();
        now = next, by_now = by_next;
        measure_bar();
        if constexpr (!kChecks) going.broke = part.may_be_broke();
        broke = broke || holds(going.broke);
        gone[p] = going;
        measures[p] = part;
    }
    if (broke) [[unlikely]]
        return false;
    for (std::size_t p = 0; p < kParts; ++p) gone[p].store(tile.account);
    if constexpr (kMeasures) {
        MeasuredTile& measured = *tile.measured;
        const Joint joint(static_cast<double>(measured.measured), double{kMeasuredBars});
        for (std::size_t p = 0; p < kParts; ++p) {
            measures[p].store(measured, joint, p * WINDTUNNEL_WIDTH);
        }
        measured.measured += kMeasuredBars;
    }
    for (std::size_t k = 0; equity != nullptr && k < kMeasuredBars; ++k) {
        write_row(sweep.results.equity, sweep, tile, first + k, Row(equity[k]));
    }
    return true;
}

// In the cheapest way that fits.
template <class Door, class Begin>
WINDTUNNEL_INLINE bool go_and_measure(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                      bool checks, const Begin& begin) {
    if (tile.measured == nullptr) {
        return go_by_parts<false, false, true>(sweep, tile, first, begin);
    }
    if (tile.measured->may_be_ruined) [[unlikely]] {
        return go_by_parts<true, true, true>(sweep, tile, first, begin);
    }
    return checks ? go_by_parts<true, false, true>(sweep, tile, first, begin)
                  : go_by_parts<true, false, false>(sweep, tile, first, begin);
}
