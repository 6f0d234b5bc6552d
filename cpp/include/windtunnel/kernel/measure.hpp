// Measures the equity that a tile has gone through. Compiled once for each level; see levels.hpp.
//
// Blocks of bars begin at multiples of kMeasuredBars of the history, wherever its pieces end, so
// that a history in pieces is measured as the whole is, bit for bit.

// A bar that is to be measured with its block.
WINDTUNNEL_INLINE void keep_bar(MeasuredTile& tile, const Row& equity) {
    equity.store(tile.equity[++tile.waiting]);
}

// Joins the moments of `b` bars to those of the `a` before them: the factors, which all lanes share
// (Pebay 2008, equations 2.1 and 3.1 for two sets).
struct Joint {
    double bars;   // of the block
    double share;  // of an average bar of the block in its sums
    double mean;
    double m2;
    double m3, m3_b, m3_a;
    double m4, m4_b2, m4_a2, m4_b3, m4_a3;

    Joint(double a, double b) : bars(b), share(1.0 / b) {
        const double by_n = 1.0 / (a + b);
        const double of_a = a * by_n, of_b = b * by_n;
        mean = of_b;
        m2 = a * of_b;
        m3 = m2 * (of_a - of_b);
        m3_b = 3.0 * of_a;
        m3_a = 3.0 * of_b;
        m4 = m2 * (of_a * of_a - of_a * of_b + of_b * of_b);
        m4_b2 = 6.0 * of_a * of_a;
        m4_a2 = 6.0 * of_b * of_b;
        m4_b3 = 4.0 * of_a;
        m4_a3 = 4.0 * of_b;
    }
};

// What a block of bars adds to the measures of one part.
//
// Sums of powers are taken of returns less the first of the block, which loses no digits however
// steady the returns are, and turned into moments about the mean of the block afterwards.
template <bool kRuin>
struct MeasuredPart {
    Part peak, by_peak, deepest, gains{}, losses{}, downside, alive;
    CountPart under, longest, up{}, down{};
    Part before, by_before;
    Part shift{}, s2{}, s3{}, s4{};

    WINDTUNNEL_INLINE static Part row(const Lane& of, std::size_t lane) {
        return load_part(of.value + lane);
    }

    MeasuredPart() = default;
    WINDTUNNEL_INLINE MeasuredPart(const MeasuredTile& tile, std::size_t lane)
        : peak(row(tile.so_far.peak, lane)),
          by_peak(row(tile.so_far.by_peak, lane)),
          deepest(row(tile.so_far.deepest, lane)),
          downside(row(tile.so_far.downside, lane)),
          alive(row(tile.so_far.alive, lane)),
          under(counts(row(tile.so_far.under, lane))),
          longest(counts(row(tile.so_far.longest, lane))),
          before(row(tile.equity[0], lane)),
          by_before(1.0 / before) {}

    // The return of the next bar. From the bar after the ruin there are none.
    WINDTUNNEL_INLINE Part gain_of(Part now) const {
        const Part gain = (now - before) * by_before;
        if constexpr (kRuin) return choose(less(Part{}, alive), gain, Part{});
        return gain;
    }

    // Before the first bar of a block, with its equity.
    WINDTUNNEL_INLINE void begin(Part now) { shift = gain_of(now); }

    WINDTUNNEL_INLINE void bar(Part now, Part by_now) {
        const Part zero{};
        const Part gain = gain_of(now);
        if constexpr (kRuin) {
            alive = choose(less(zero, now), alive, zero);
            by_peak = choose(less(peak, now), by_now, by_peak);
        } else {
            by_peak = smaller(by_peak, by_now);
        }
        peak = larger(peak, now);
        const Part fallen = peak - now;
        under = count_while(less(zero, fallen), under);
        longest = larger(longest, under);
        deepest = larger(deepest, fallen * by_peak);
        // This sign comes from the bits: comparisons take the units that multiply.
        const BitsPart falls = is_negative(gain);
        const Part gained = (Part)((BitsPart)gain & ~falls);
        const Part lost = (Part)((BitsPart)gain & falls);
        up = count_where(less(zero, gain), up);
        down -= falls;
        gains += gained;
        losses += lost;
        downside += lost * lost;
        const Part off = gain - shift;
        const Part square = off * off;
        s2 += square;
        s3 += square * off;
        s4 += square * square;
        before = now;
        by_before = by_now;
    }

    // Where an equity may have been zero or below: infinities and NaN are not less than infinity.
    WINDTUNNEL_INLINE Truth may_be_broke() const {
        const Part limit = spread(__builtin_inf());
        const Truth sound =
            both(both(less(Part{}, by_peak), less(by_before, limit)), less(s2, limit));
        return neither(sound);
    }

    WINDTUNNEL_INLINE void store(MeasuredTile& tile, const Joint& joint, std::size_t lane) const {
        Measures<Lane>& to = tile.so_far;
        const auto keep = [lane](Part part, Lane& in) { store_part(part, in.value + lane); };
        keep(before, tile.equity[0]);
        keep(peak, to.peak);
        keep(by_peak, to.by_peak);
        keep(numbers(under), to.under);
        keep(numbers(longest), to.longest);
        keep(deepest, to.deepest);
        keep(row(to.up, lane) + numbers(up), to.up);
        keep(row(to.down, lane) + numbers(down), to.down);
        keep(row(to.gains, lane) + gains, to.gains);
        keep(row(to.losses, lane) + losses, to.losses);
        keep(downside, to.downside);
        keep(alive, to.alive);

        const Part s1 = (gains + losses) - shift * joint.bars;
        const Part off = s1 * joint.share;
        const Part off2 = off * off;
        const Part b2 = s2 - off * s1;
        const Part b3 = s3 - off * (3.0 * s2) + off2 * (2.0 * s1);
        const Part b4 = s4 - off * (4.0 * s3) + off2 * (6.0 * s2) - off2 * off * (3.0 * s1);
        const Part a2 = row(to.m2, lane), a3 = row(to.m3, lane);
        const Part gap = shift + off - row(to.mean, lane);
        const Part gap2 = gap * gap;
        keep(row(to.m4, lane) + b4 + gap2 * gap2 * joint.m4 +
                 gap2 * (b2 * joint.m4_b2 + a2 * joint.m4_a2) +
                 gap * (b3 * joint.m4_b3 - a3 * joint.m4_a3),
             to.m4);
        keep(a3 + b3 + gap2 * gap * joint.m3 + gap * (b2 * joint.m3_b - a2 * joint.m3_a), to.m3);
        keep(a2 + b2 + gap2 * joint.m2, to.m2);
        keep(row(to.mean, lane) + gap * joint.mean, to.mean);
    }
};

template <bool kRuin>
WINDTUNNEL_INLINE void measure_part(MeasuredTile& tile, const Joint& joint, std::size_t lane) {
    MeasuredPart<kRuin> part(tile, lane);
    const auto at = [lane](const Lane& bar) { return load_part(bar.value + lane); };
    part.begin(at(tile.equity[1]));
    for (std::size_t k = 1; k <= tile.waiting; ++k) {
        const Part now = at(tile.equity[k]);
        part.bar(now, 1.0 / now);
    }
    part.store(tile, joint, lane);
}

// Measures what waits.
[[gnu::noinline]] inline void measure(MeasuredTile& tile) {
    if (tile.waiting == 0) return;
    const Joint joint(static_cast<double>(tile.measured), static_cast<double>(tile.waiting));
    for (std::size_t lane = 0; lane < kLanes; lane += WINDTUNNEL_WIDTH) {
        if (tile.may_be_ruined) [[unlikely]] {
            measure_part<true>(tile, joint, lane);
        } else {
            measure_part<false>(tile, joint, lane);
        }
    }
    tile.measured += tile.waiting;
    tile.waiting = 0;
}

// After a block of bars, or a piece of one.
template <class Door>
WINDTUNNEL_INLINE void finish_block(Tile<Door>& tile) {
    if (tile.measured != nullptr && tile.measured->waiting == kMeasuredBars) {
        measure(*tile.measured);
    }
}
