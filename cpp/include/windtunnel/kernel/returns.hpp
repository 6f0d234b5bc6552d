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
    const bool is_financed = sweep.terms.charges_interest();
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
        if (tile.measured != nullptr) keep_bar(*tile.measured, a.equity);
        if (sweep.results.equity != nullptr) {
            write_row(sweep.results.equity, sweep, tile, t, a.equity);
        }
    }
    store(a, tile.account);
    finish_block(tile);
}

// One part of a tile through a block without a band: a target is held from its bar on, and nothing
// has to be asked of an order.
template <class Number>
struct ReturnsPart {
    const Number* target;  // the next to be read
    const Number* last;    // of the block
    std::size_t row;
    const double* move;  // of the bar that comes next
    double rate;
    std::size_t lane;
    Part held, equity, turnover, costs, exposure, peak_input;
    Part cost, growth;  // of the bar that comes next
    CountPart fills{};
    Truth broke{};

    struct Bar {
        Part equity;
    };

    ReturnsPart() = default;
    WINDTUNNEL_INLINE ReturnsPart(const Sweep<Exposures<Number>>& sweep,
                                  const Tile<Exposures<Number>>& tile, const Number* first_target,
                                  const double* moves, const Lane& holding, std::size_t from)
        : target(first_target + from),
          last(target + (kMeasuredBars - 1) * sweep.door.configurations),
          row(sweep.door.configurations),
          move(moves),
          rate(Rates(sweep.terms).trading),
          lane(from),
          held(load_part(holding.value + lane)),
          equity(load_part(tile.account.equity.value + lane)),
          turnover(load_part(tile.account.turnover.value + lane)),
          costs(load_part(tile.account.costs.value + lane)),
          exposure(load_part(tile.account.exposure.value + lane)),
          peak_input(load_part(tile.account.peak_input.value + lane)) {
        order();
    }

    // What the next bar does. Beyond the block the last target comes again, which orders nothing.
    WINDTUNNEL_INLINE void order() {
        if (lane == 0) prefetch_tile(target, row);
        const Part next = load_part(target);
        target = target < last ? target + row : last;
        const Part turned = magnitude(next - held);
        const Part gain = held * *move++;
        cost = turned * rate;
        growth = 1.0 + (gain - cost);
        turnover += turned;
        fills = count_where(less(Part{}, turned), fills);
        held = next;
    }

    // A bar is ordered for while the one before is on its way, so that nothing waits for it.
    template <bool kChecks>
    WINDTUNNEL_INLINE Bar bar(std::size_t) {
        costs += cost * equity;
        equity = equity * growth;
        const Part size = magnitude(held);
        peak_input = larger(peak_input, size);
        exposure += size;
        // Not "zero or below": a target that is no number has no order.
        if constexpr (kChecks) broke = either(broke, neither(less(Part{}, equity)));
        order();
        return {equity};
    }

    WINDTUNNEL_INLINE void mark(const Bar&, Part) {}

    WINDTUNNEL_INLINE void store(Account<Lane>& account) const {
        const auto keep = [this](Part part, Lane& in) { store_part(part, in.value + lane); };
        keep(equity, account.equity);
        keep(turnover, account.turnover);
        keep(costs, account.costs);
        keep(exposure, account.exposure);
        keep(peak_input, account.peak_input);
        keep(load_part(account.fills.value + lane) + numbers(fills), account.fills);
    }
};

// A block without a band, without interest, and with targets that are numbers; false if that does
// not hold, or an account comes to its end in it, and then nothing has changed.
template <class Number>
[[gnu::noinline]] bool advance_returns_by_parts(const Sweep<Exposures<Number>>& sweep,
                                                Tile<Exposures<Number>>& tile, std::size_t first,
                                                Lane& held) {
    if (first == 0 || tile.width != kLanes || any(Row(tile.account.band) != 0.0)) return false;
    double moves[kMeasuredBars + 1] = {};
    const double* mark = sweep.market.mark.data() + first;
    for (std::size_t k = 0; k < kMeasuredBars; ++k)
        moves[k] = (mark[k] - mark[k - 1]) / mark[k - 1];
    const std::size_t row = sweep.door.configurations;
    const Number* target =
        sweep.door.values + (first - delay(sweep.terms.fill)) * row + tile.door.first;
    const auto begin = [&](std::size_t lane) {
        return ReturnsPart<Number>(sweep, tile, target, moves, held, lane);
    };
    if (!go_and_measure(sweep, tile, first, false, begin)) return false;
    Row(target + (kMeasuredBars - 1) * row).store(held);
    return true;
}
