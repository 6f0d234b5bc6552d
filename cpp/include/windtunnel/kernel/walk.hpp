// A block of bars by the rules that a sweep asks for; what levels.hpp chooses among.

// Whether every bar of a whole block can be decided for and traded.
template <class Door>
WINDTUNNEL_INLINE bool is_whole(const Sweep<Door>& sweep, std::size_t first, std::size_t last) {
    const std::size_t lag = delay(sweep.terms.fill);
    if (last - first != kMeasuredBars || first < lag) return false;
    if (lag > 0 && !sweep.market.listed[first - lag]) return false;
    return std::memchr(sweep.market.tradable.data() + first, 0, kMeasuredBars) == nullptr;
}

// A block in a shorter way than bar by bar, where there is one; false if there is none.
template <Rules kRules, class Door>
WINDTUNNEL_INLINE bool go_by_block(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                                   std::size_t last, Lane& units) {
    if constexpr (kRules == Rules::plain) {
        if (!is_whole(sweep, first, last)) return false;
        begin_bar(sweep.door, tile, 1);
        const std::size_t waiting = tile.measured == nullptr ? 0 : tile.measured->waiting;
        if (advance_alone(sweep, tile, first, last, units)) {
            finish_block(tile);
            return true;
        }
        if (tile.measured != nullptr) tile.measured->waiting = waiting;
    } else if constexpr (kRules == Rules::returns) {
        return !sweep.terms.charges_interest() && is_whole(sweep, first, last) &&
               advance_returns_by_parts(sweep, tile, first, units);
    }
    return false;
}

template <Rules kRules>
WINDTUNNEL_INLINE bool go_by_block(const Sweep<Signals>& sweep, Tile<Signals>& tile,
                                   std::size_t first, std::size_t last, Lane& units) {
    if (sweep.terms.charges_interest() || !is_whole(sweep, first, last)) return false;
    // Made once a thread, so that lanes nobody looks at hold numbers and not just anything.
    static thread_local StoppedBlock block{};
    if constexpr (kRules == Rules::plain) {
        return advance_flags(sweep, tile, first, units, block);
    } else if constexpr (kRules == Rules::stops) {
        return sweep.terms.fill != Fill::next_open &&
               advance_watched(sweep, tile, first, units, block);
    }
    return false;
}

template <class Door, Rules kRules>
WINDTUNNEL_INLINE void walk(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first,
                            std::size_t last, std::size_t instruments, Lane* units) {
    if constexpr (kRules == Rules::returns) {
        advance_returns(sweep, tile, first, last, instruments, units);
    } else {
        advance_units<Door, kRules>(sweep, tile, first, last, instruments, units);
    }
}

template <class Door, Rules kRules>
void advance(const Sweep<Door>& sweep, Tile<Door>& tile, std::size_t first, std::size_t last) {
    if (kRules != Rules::detailed && sweep.market.instruments == 1) {
        // The most common sweep: loops over instruments vanish, units stay near the registers.
        Lane units = tile.units[0];
        if (!go_by_block<kRules>(sweep, tile, first, last, units)) {
            walk<Door, kRules>(sweep, tile, first, last, 1, &units);
        }
        tile.units[0] = units;
    } else {
        walk<Door, kRules>(sweep, tile, first, last, sweep.market.instruments, tile.units);
    }
}
