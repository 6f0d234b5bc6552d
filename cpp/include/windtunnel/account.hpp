// The accounts of a tile: cash and what has happened so far, one lane a configuration.
#pragma once

#include "windtunnel/lanes.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel {

// `Values` is Lane for accounts at rest in memory and a level's Row for those at work.
template <class Values>
struct Account {
    Values cash;
    Values open;         // 1 until a liquidation closes the account, then 0
    Values band;         // no order while the exposure is this near to its target; closed: infinite
    Values short_value;  // value of short positions at the last mark
    Values equity;       // at the last mark
    Values turnover;
    Values costs;
    Values financing;
    Values exposure;
    Values fills;  // counts are whole numbers in doubles: one lane width for all
    Values dropped;
    Values liquidated;
    Values peak_input;  // largest magnitude read, by which infinities are found afterwards
};

inline void open_account(Account<Lane>& account, double initial_cash) {
    account = {};
    account.cash.fill(initial_cash);
    account.equity.fill(initial_cash);
    account.open.fill(1.0);
    account.liquidated.fill(-1.0);
}

// Rates a bar, divided out once.
struct Rates {
    double trading;
    double borrow;
    double financing;
    double maintenance;

    explicit Rates(const Terms& terms)
        : trading(terms.trading_rate()),
          borrow(terms.borrow_rate()),
          financing(terms.financing_rate()),
          maintenance(terms.maintenance) {}
};

}  // namespace windtunnel
