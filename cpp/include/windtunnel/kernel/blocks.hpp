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

// Enters where there is no position and leaves where there is one; false if that cannot be paid.
WINDTUNNEL_INLINE bool order_lane(LaneAccounts& state, const Lane& entry, std::size_t l,
                                  double price, double rate) {
    const double units = state.units[l];
    const double capital = state.cash[l] + units * price;
    if (!(capital > 0.0)) [[unlikely]]
        return false;
    const double target = units == 0.0 ? entry[l] : 0.0;
    fill_lane(state, l, target * capital / price, price, rate, capital);
    return true;
}

// What all lanes were worth at the last close.
struct Marks {
    Row exposure, equity, inverse;

    WINDTUNNEL_INLINE explicit Marks(const Account<Lane>& account)
        : exposure(account.exposure), equity(account.equity), inverse(account.inverse) {}

    WINDTUNNEL_INLINE void store(Account<Lane>& account) const {
        exposure.store(account.exposure);
        equity.store(account.equity);
        inverse.store(account.inverse);
    }
};

// Marks all lanes to the close of a bar; false if one of them has to be liquidated.
WINDTUNNEL_INLINE bool mark_bar(const Sweep<Signals>& sweep, const Tile<Signals>& tile,
                                std::size_t t, const Row& cash, const Row& units,
                                double maintenance, Marks& marks) {
    const Row value = units * sweep.market.mark[t];
    marks.equity = cash + value;
    const Row gross = magnitude(value);
    if (any(marks.equity <= gross * maintenance)) [[unlikely]]
        return false;
    marks.inverse = 1.0 / marks.equity;
    marks.exposure += gross * marks.inverse;
    if (tile.measured != nullptr) keep_bar(*tile.measured, marks.equity, marks.inverse);
    if (sweep.results.equity != nullptr) {
        write_row(sweep.results.equity, sweep, tile, t, marks.equity);
    }
    return true;
}

// Calls `advance` with the form of the flags, kPacked and kWhole, known where it is compiled.
template <class Advance>
WINDTUNNEL_INLINE bool by_form(const Signals& door, std::size_t width, const Advance& advance) {
    if (!door.packed()) return advance.template operator()<false, false>();
    return width == kLanes ? advance.template operator()<true, true>()
                           : advance.template operator()<true, false>();
}
