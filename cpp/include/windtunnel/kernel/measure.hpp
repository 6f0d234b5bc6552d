// Measures the equity that a tile has gone through. Compiled once for each level; see levels.hpp.
//
// Blocks of bars begin at multiples of kMeasuredBars of the history, wherever its pieces end, so
// that a history in pieces is measured as the whole is, bit for bit.

// What a block of bars adds to the measures of one part. Rows of equity begin with the one before.
//
// Sums of powers are taken of returns less the first of the block, which loses no digits however
// steady the returns are, and turned into moments about the mean of the block afterwards. Those
// are joined to the moments of the blocks before (Pebay 2008, equations 2.1 and 3.1 for two sets).
template <bool kRuin>
WINDTUNNEL_INLINE void measure_part(MeasuredTile& tile, std::size_t lane) {
    Measures<Lane>& to = tile.so_far;
    const std::size_t bars = tile.waiting;
    const auto row = [&](Lane& of) { return load_part(of.value + lane); };
    const Part zero{};
    Part peak = row(to.peak), under = row(to.under), longest = row(to.longest);
    Part deepest = row(to.deepest), up = row(to.up), down = row(to.down);
    Part gains = row(to.gains), losses = row(to.losses), downside = row(to.downside);
    Part alive = row(to.alive);
    Part before = row(tile.equity[0]);
    Part shift = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero;
    for (std::size_t k = 0; k < bars; ++k) {
        const Part now = row(tile.equity[k + 1]);
        Part gain = (now - before) / before;
        if constexpr (kRuin) {
            // From the bar after the ruin there are no returns.
            gain = choose(less(zero, alive), gain, zero);
            alive = choose(less(zero, now), alive, zero);
        }
        if (k == 0) shift = gain;
        peak = larger(peak, now);
        under = choose(less(now, peak), under + 1.0, zero);
        longest = larger(longest, under);
        deepest = larger(deepest, (peak - now) / peak);
        const Truth rises = less(zero, gain);
        const Truth falls = less(gain, zero);
        up = choose(rises, up + 1.0, up);
        down = choose(falls, down + 1.0, down);
        gains = choose(rises, gains + gain, gains);
        losses = choose(falls, losses + gain, losses);
        downside = choose(falls, downside + gain * gain, downside);
        const Part off = gain - shift;
        const Part square = off * off;
        s1 += off;
        s2 += square;
        s3 += square * off;
        s4 += square * square;
        before = now;
    }
    const auto keep = [&](Part part, Lane& in) { store_part(part, in.value + lane); };
    keep(peak, to.peak);
    keep(under, to.under);
    keep(longest, to.longest);
    keep(deepest, to.deepest);
    keep(up, to.up);
    keep(down, to.down);
    keep(gains, to.gains);
    keep(losses, to.losses);
    keep(downside, to.downside);
    keep(alive, to.alive);

    const double b = static_cast<double>(bars);
    const double a = static_cast<double>(tile.measured);
    const double n = a + b;
    const Part off = s1 * (1.0 / b);
    const Part off2 = off * off;
    const Part b2 = s2 - off * s1;
    const Part b3 = s3 - off * (3.0 * s2) + off2 * (2.0 * s1);
    const Part b4 = s4 - off * (4.0 * s3) + off2 * (6.0 * s2) - off2 * off * (3.0 * s1);
    const Part a1 = row(to.mean), a2 = row(to.m2), a3 = row(to.m3), a4 = row(to.m4);
    const Part gap = shift + off - a1;
    const Part gap2 = gap * gap;
    const double ab = a * b / n;
    keep(a4 + b4 + gap2 * gap2 * (ab * (a * a - a * b + b * b) / (n * n)) +
             gap2 * (b2 * (6.0 * a * a / (n * n)) + a2 * (6.0 * b * b / (n * n))) +
             gap * (b3 * (4.0 * a / n) - a3 * (4.0 * b / n)),
         to.m4);
    keep(
        a3 + b3 + gap2 * gap * (ab * (a - b) / n) + gap * (b2 * (3.0 * a / n) - a2 * (3.0 * b / n)),
        to.m3);
    keep(a2 + b2 + gap2 * ab, to.m2);
    keep(a1 + gap * (b / n), to.mean);
}

// Measures what waits, and keeps its last row as the one before.
[[gnu::noinline]] inline void measure(MeasuredTile& tile) {
    if (tile.waiting == 0) return;
    for (std::size_t lane = 0; lane < kLanes; lane += WINDTUNNEL_WIDTH) {
        if (tile.may_be_ruined) [[unlikely]] {
            measure_part<true>(tile, lane);
        } else {
            measure_part<false>(tile, lane);
        }
    }
    tile.measured += tile.waiting;
    tile.equity[0] = tile.equity[tile.waiting];
    tile.waiting = 0;
}
