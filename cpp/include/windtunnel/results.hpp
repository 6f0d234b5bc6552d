// Where a sweep writes: one row of memory a quantity, owned by the caller.
#pragma once

#include <cstddef>
#include <cstdint>

#include "windtunnel/measures.hpp"
#include "windtunnel/trades.hpp"

namespace windtunnel {

// All arrays hold C values except `equity`, (T, C) row-major, which may be null.
struct Results {
    double* equity = nullptr;        // currency, marked at each close
    double* final_equity = nullptr;  // currency, at the last close
    double* turnover = nullptr;      // sum over bars of traded value / equity before the trade
    double* costs = nullptr;         // currency, fees and spread
    double* financing = nullptr;     // currency, interest and borrow
    double* exposure = nullptr;      // mean over bars of gross position value / equity
    double* peak_input = nullptr;    // largest magnitude among the numbers that were read
    std::int64_t* fills = nullptr;
    std::int64_t* dropped = nullptr;     // orders met by a bar on which nothing can trade
    std::int64_t* liquidated = nullptr;  // bar of the liquidation, -1 without one
    std::int64_t* capped = nullptr;      // orders of which participation left a part; may be null
    std::int64_t* ambiguous = nullptr;   // bars with both stop and target inside; may be null
    TradeLog* trades = nullptr;          // every fill; may be null
    Metrics* metrics = nullptr;          // may be null
    double* cash = nullptr;              // (T, C) at each close, with the trades
};

}  // namespace windtunnel
