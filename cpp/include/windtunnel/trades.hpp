// The trade log: every fill of every configuration, with its reason.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <vector>

namespace windtunnel {

// Why a fill happened. The names are those of windtunnel.backtest.trades.
enum class Reason : std::int64_t { decision, loss, profit, trailing, time, liquidation };

struct Trade {
    std::int64_t configuration;
    std::int64_t bar;
    std::int64_t instrument;
    Reason reason;
    double change;  // units bought, negative when sold
    double units;   // held afterwards
    double price;
    double cost;
};

// Filled by several threads, a tile at a time.
class TradeLog {
  public:
    void add(std::vector<Trade>&& more) {
        const std::scoped_lock lock(mutex_);
        trades_.insert(trades_.end(), more.begin(), more.end());
    }

    // By configuration, and within one in the order in which things happened.
    std::vector<Trade>& sorted() {
        std::stable_sort(trades_.begin(), trades_.end(), [](const Trade& a, const Trade& b) {
            return a.configuration < b.configuration;
        });
        return trades_;
    }

  private:
    std::mutex mutex_;
    std::vector<Trade> trades_;
};

}  // namespace windtunnel
