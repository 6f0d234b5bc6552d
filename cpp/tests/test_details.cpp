// Costs, limits, stops and the trade log: the same bits for every level and number of threads.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "check.hpp"
#include "world.hpp"

using windtunnel::InstructionSet;
using windtunnel::Reason;
using windtunnel::Terms;
using windtunnel::Trade;
using windtunnel::TradeLog;

namespace {

constexpr double kOff = std::numeric_limits<double>::infinity();

struct Detailed {
    Output output;
    std::vector<double> cash;
    std::vector<std::int64_t> capped, ambiguous;
    std::vector<Trade> trades;
};

struct Stopped {
    std::vector<double> loss, profit, trailing, bars;
};

// Policies on (T, N, 1) scores, with stops and a log.
Detailed run_in_detail(const World& world, const std::vector<float>& scores, const Stopped& stops,
                       const Terms& terms, std::size_t threads) {
    const std::size_t C = stops.loss.size();
    std::vector<double> high(world.open), low(world.open);
    for (std::size_t i = 0; i < high.size(); ++i) {
        high[i] = std::max(world.open[i], world.close[i]) * 1.02;
        low[i] = std::min(world.open[i], world.close[i]) * 0.98;
    }
    const std::vector<double> volume(high.size(), 1000.0), half_spread(high.size(), 0.001);
    windtunnel::PanelView panel = world.view();
    panel.volume = volume.data();
    panel.half_spread = half_spread.data();
    panel.high = high.data();
    panel.low = low.data();
    const std::vector<std::int64_t> column(C, 0);
    const std::vector<double> enter(C, 0.5), exit(C, 0.1), leverage(C, 1.0), band(C, 0.1);
    windtunnel::PolicyParameters parameters{column.data(),   enter.data(), exit.data(),
                                            leverage.data(), band.data(),  C};
    parameters.stops = {stops.loss.data(), stops.profit.data(), stops.trailing.data(),
                        stops.bars.data()};
    const windtunnel::Policies door(scores.data(), 1, parameters);
    Detailed found{Output(world.bars, C),
                   std::vector<double>(world.bars * C),
                   std::vector<std::int64_t>(C),
                   std::vector<std::int64_t>(C),
                   {}};
    TradeLog log;
    windtunnel::Results results = found.output.results();
    results.capped = found.capped.data();
    results.ambiguous = found.ambiguous.data();
    results.cash = found.cash.data();
    results.trades = &log;
    windtunnel::run(door, panel, terms, results, threads);
    found.trades = log.sorted();
    return found;
}

bool same(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

bool same(const Detailed& a, const Detailed& b) {
    return same(a.output.equity, b.output.equity) && same(a.cash, b.cash) &&
           a.output.fills == b.output.fills && a.capped == b.capped && a.ambiguous == b.ambiguous &&
           std::ranges::equal(a.trades, b.trades, [](const Trade& x, const Trade& y) {
               return std::memcmp(&x, &y, sizeof x) == 0;
           });
}

void check_a_stop_by_hand() {
    // 100 units at 10; at bar 2 the low is 98 % of the close of 9, below the stop at 9.5.
    const World world({10, 10, 10, 9}, {10, 10, 9, 9});
    Terms terms;
    terms.initial_cash = 1000.0;
    const Stopped stops{{0.05}, {kOff}, {kOff}, {kOff}};
    const Detailed found = run_in_detail(world, {1, 1, 1, 1}, stops, terms, 1);
    CHECK(found.trades.size() == 2);
    if (found.trades.size() != 2) return;
    CHECK(found.trades[0].reason == Reason::decision && found.trades[0].bar == 1);
    CHECK(found.trades[1].reason == Reason::loss && found.trades[1].bar == 2);
    CHECK_NEAR(found.trades[1].price, 9.5);
    CHECK_NEAR(found.trades[1].change, -100.0);
    // The half-spread of 0.001 a bar is paid on 1000 and on 950.
    CHECK_NEAR(found.output.final_equity[0], 1000.0 - 1.0 - 50.0 - 0.95);
}

}  // namespace

int main() {
    check_a_stop_by_hand();

    const World world(5, 200, 3);
    const std::size_t configurations = 37;
    std::mt19937 random(11);
    std::uniform_real_distribution<double> uniform(0.0, 1.0);
    std::vector<float> scores(world.bars * world.instruments);
    for (float& score : scores) score = static_cast<float>(2.0 * uniform(random) - 1.0);
    Stopped stops;
    for (std::size_t c = 0; c < configurations; ++c) {
        stops.loss.push_back(c % 5 == 0 ? kOff : 0.2 * uniform(random));
        stops.profit.push_back(c % 3 == 0 ? kOff : 0.2 * uniform(random));
        stops.trailing.push_back(c % 2 == 0 ? kOff : 0.2 * uniform(random));
        stops.bars.push_back(c % 4 == 0 ? kOff : 7.0);
    }
    Terms terms;
    terms.fee = 0.001;
    terms.borrow_apr = 0.1;
    terms.financing_apr = 0.2;
    terms.maintenance = 0.1;
    terms.initial_cash = 1e5;
    terms.fee_per_unit = 0.01;
    terms.minimum_fee = 1.0;
    terms.impact = 0.05;
    terms.participation = 0.3;
    terms.lot_size = 5.0;
    for (const auto fill : {windtunnel::Fill::next_open, windtunnel::Fill::same_close}) {
        terms.fill = fill;
        const Detailed reference = run_in_detail(world, scores, stops, terms, 1);
        for (const InstructionSet level :
             {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
            if (level > windtunnel::widest_instruction_set()) break;
            setenv("WINDTUNNEL_ISA", windtunnel::name(level), 1);
            for (const std::size_t threads : {1U, 2U, 5U}) {
                CHECK(same(run_in_detail(world, scores, stops, terms, threads), reference));
            }
        }
        unsetenv("WINDTUNNEL_ISA");
        // The world is one in which everything happens.
        for (const Reason reason :
             {Reason::decision, Reason::loss, Reason::profit, Reason::trailing, Reason::time}) {
            CHECK(std::ranges::any_of(reference.trades,
                                      [&](const Trade& t) { return t.reason == reason; }));
        }
        CHECK(std::ranges::any_of(reference.capped, [](auto count) { return count > 0; }));
        CHECK(std::ranges::any_of(reference.ambiguous, [](auto count) { return count > 0; }));
    }
    return failures();
}
