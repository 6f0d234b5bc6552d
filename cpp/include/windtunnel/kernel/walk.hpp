// A block of bars by the rules that a sweep asks for; what levels.hpp chooses among.

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
