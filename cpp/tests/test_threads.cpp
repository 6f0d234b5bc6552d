// What threads share: one call with several of them and a log, and several calls on one market.
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"
#include "world.hpp"

using windtunnel::Terms;
using windtunnel::Trade;
using windtunnel::TradeLog;

namespace {

constexpr std::size_t kPolicies = 150;

struct Logged {
    Output output;
    std::vector<double> cash;
    std::vector<Trade> trades;
};

template <class Door>
Logged run_logged(const Door& door, const windtunnel::PanelView& panel, const Terms& terms,
                  std::size_t threads) {
    const std::size_t C = door.count();
    Logged found{Output(panel.bars, C), std::vector<double>(panel.bars * C), {}};
    TradeLog log;
    windtunnel::Results results = found.output.results();
    results.cash = found.cash.data();
    results.trades = &log;
    windtunnel::run(door, panel, terms, results, threads);
    found.trades = log.sorted();
    return found;
}

bool same(const Logged& a, const Logged& b) {
    const auto bits = [](const auto& x, const auto& y) {
        return x.size() == y.size() &&
               (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0);
    };
    return bits(a.output.equity, b.output.equity) && bits(a.cash, b.cash) &&
           bits(a.trades, b.trades) && a.output.fills == b.output.fills;
}

}  // namespace

int main() {
    const World world(9, 120, 3);
    std::mt19937 random(4);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::vector<double> high(world.open), low(world.open);
    for (std::size_t i = 0; i < high.size(); ++i) {
        high[i] = std::fmax(world.open[i], world.close[i]) * 1.01;
        low[i] = std::fmin(world.open[i], world.close[i]) * 0.99;
    }
    windtunnel::PanelView panel = world.view();
    panel.high = high.data();
    panel.low = low.data();
    std::vector<float> scores(world.bars * world.instruments * 2);
    for (float& score : scores) score = static_cast<float>(uniform(random));
    std::vector<std::int64_t> column(kPolicies);
    std::vector<double> enter(kPolicies), exit(kPolicies, 0.1), leverage(kPolicies, 1.0);
    std::vector<double> band(kPolicies, 0.05), loss(kPolicies), longest(kPolicies, 9.0);
    for (std::size_t p = 0; p < kPolicies; ++p) {
        column[p] = static_cast<std::int64_t>(p % 2);
        enter[p] = 0.2 + 0.005 * static_cast<double>(p);
        loss[p] = p % 3 == 0 ? std::numeric_limits<double>::infinity() : 0.03;
    }
    windtunnel::PolicyParameters parameters{column.data(),   enter.data(), exit.data(),
                                            leverage.data(), band.data(),  kPolicies};
    parameters.stops.loss = loss.data();
    parameters.stops.bars = longest.data();
    const windtunnel::Policies policies(scores.data(), 2, parameters);

    std::vector<float> targets(world.bars * world.instruments * kPolicies);
    for (float& target : targets) target = static_cast<float>(uniform(random));
    const windtunnel::Exposures<float> exposures{targets.data(), band.data(), kPolicies};

    Terms terms;
    terms.fee = 0.001;
    terms.initial_cash = 1e5;
    const Logged by_policy = run_logged(policies, panel, terms, 1);
    const Logged by_target = run_logged(exposures, world.view(), terms, 1);
    CHECK(!by_policy.trades.empty());
    CHECK(!by_target.trades.empty());
    for (const std::size_t threads : {2U, 3U, 8U}) {
        CHECK(same(run_logged(policies, panel, terms, threads), by_policy));
        CHECK(same(run_logged(exposures, world.view(), terms, threads), by_target));
    }

    // Callers of their own threads read one market at the same time.
    std::vector<Logged> found(4, Logged{Output(0, 0), {}, {}});
    std::vector<std::thread> callers;
    for (std::size_t i = 0; i < found.size(); ++i) {
        callers.emplace_back([&, i] {
            found[i] = i % 2 == 0 ? run_logged(policies, panel, terms, 2)
                                  : run_logged(exposures, world.view(), terms, 2);
        });
    }
    for (std::thread& caller : callers) caller.join();
    for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(same(found[i], i % 2 == 0 ? by_policy : by_target));
    }
    return failures();
}
