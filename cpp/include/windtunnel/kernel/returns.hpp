// The quick look: exposure x return minus cost x turnover, without units or cash. Compiled once
// for each level; see levels.hpp. `units` hold the exposures that are held.

// An account without equity is closed: its exposures are gone, and no order comes again.
WINDTUNNEL_INLINE void close_ruined(Working& a, Lane* held, std::size_t instruments,
                                    std::size_t bar) {
    const Mask broke = (a.equity <= 0.0) & (a.open > 0.0);
    for (std::size_t n = 0; n < instruments; ++n) {
        select(broke, 0.0, Row(held[n])).store(held[n]);
    }
    a.open = select(broke, 0.0, a.open);
    a.band = select(broke, __builtin_inf(), a.band);
    a.liquidated = select(broke, static_cast<double>(bar), a.liquidated);
}

// Bars [first, last) of the arithmetic of returns.
template <class Number>
WINDTUNNEL_INLINE void advance_returns(const Sweep<Exposures<Number>>& sweep,
                                       Tile<Exposures<Number>>& tile, std::size_t first,
                                       std::size_t last, std::size_t instruments, Lane* held) {
    const Market& market = sweep.market;
    const Rates rates(sweep.terms);
    const bool is_financed = rates.borrow > 0.0 || rates.financing > 0.0;
    const std::size_t lag = delay(sweep.terms.fill);
    Working a;
    load(a, tile.account);
    for (std::size_t t = first; t < last; ++t) {
        const double* mark = market.mark.data() + t * instruments;
        const double* before = mark - instruments;
        Row gain = 0.0;
        if (t > 0) {
            for (std::size_t n = 0; n < instruments; ++n) {
                gain += Row(held[n]) * ((mark[n] - before[n]) / before[n]);
            }
            if (is_financed) {
                Row sum = 0.0, sold = 0.0;
                for (std::size_t n = 0; n < instruments; ++n) {
                    const Row each(held[n]);
                    sum += each;
                    sold += select(each < 0.0, 0.0 - each, 0.0);
                }
                const Row rent = larger(sum - 1.0, 0.0) * rates.financing + sold * rates.borrow;
                gain -= rent;
                a.financing += rent * a.equity;
            }
        }
        Row turned = 0.0;
        if (t >= lag) {
            const Moment moment{t - lag, t};
            for (std::size_t n = 0; n < instruments; ++n) {
                Row target;
                decide(sweep.door, tile, a, held[n], market, moment, n, target);
                const Row now(held[n]);
                const Row change = magnitude(target - now);
                const Mask order = (change > a.band) | ((target == 0.0) & (now != 0.0));
                if (market.tradable[t * instruments + n]) {
                    turned += select(order, change, 0.0);
                    a.fills = select(order, a.fills + 1.0, a.fills);
                    select(order, target, now).store(held[n]);
                } else {
                    a.dropped = select(order, a.dropped + 1.0, a.dropped);
                }
            }
        }
        a.turnover += turned;
        const Row cost = turned * rates.trading;
        a.costs += cost * a.equity;
        a.equity = a.equity * (1.0 + (gain - cost));
        if (any(a.equity <= 0.0)) [[unlikely]] {
            if (tile.measured != nullptr) tile.measured->may_be_ruined = true;
            close_ruined(a, held, instruments, sweep.past + t);
        }
        for (std::size_t n = 0; n < instruments; ++n) a.exposure += magnitude(Row(held[n]));
        if (tile.measured != nullptr) keep_bar(*tile.measured, a.equity, 1.0 / a.equity);
        if (sweep.results.equity != nullptr) {
            write_row(sweep.results.equity, sweep, tile, t, a.equity);
        }
    }
    store(a, tile.account);
    finish_block(tile);
}
