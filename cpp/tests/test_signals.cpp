// Entry and exit flags, and the measures taken on the way: by hand, and the same bits for every
// level, however the flags are stored.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "check.hpp"
#include "world.hpp"

using windtunnel::Flags;
using windtunnel::InstructionSet;
using windtunnel::Metrics;
using windtunnel::Signals;
using windtunnel::StopParameters;
using windtunnel::Terms;

namespace {

struct Outcome {
    Output output;
    std::vector<Metrics> metrics;
};

Outcome run_signals(const World& world, const Flags& flags, const std::vector<double>& size,
                    const Terms& terms, const StopParameters& stops = {}, std::size_t threads = 1) {
    const std::vector<double> high(world.close.size(), 1e3), low(world.close.size(), 1e-3);
    windtunnel::PanelView panel = world.view();
    if (stops.any()) {
        panel.high = high.data();
        panel.low = low.data();
    }
    Outcome found{Output(world.bars, size.size()), std::vector<Metrics>(size.size())};
    windtunnel::Results results = found.output.results();
    results.metrics = found.metrics.data();
    const Signals door(flags, size.data(), size.size(), terms.trading_rate(), stops);
    windtunnel::run(door, panel, terms, results, threads);
    return found;
}

void holds_between_entry_and_exit() {
    const World world({10, 10, 20, 40}, {10, 10, 20, 40});
    const std::vector<std::uint8_t> entries{1, 0, 0, 0}, exits{0, 0, 1, 0};
    Terms terms;
    terms.initial_cash = 100.0;
    terms.fee = 0.25;
    const Outcome found = run_signals(world, {entries.data(), exits.data(), false}, {1.0}, terms);
    CHECK_NEAR(found.output.equity[1], 80.0);
    CHECK_NEAR(found.output.equity[2], 160.0);
    CHECK_NEAR(found.output.equity[3], 240.0);
    CHECK(found.output.fills[0] == 2);
    CHECK_NEAR(found.metrics[0].total_return, 1.4);
    CHECK_NEAR(found.metrics[0].max_drawdown, 0.2);
    CHECK_NEAR(found.metrics[0].max_drawdown_bars, 1.0);
    CHECK_NEAR(found.metrics[0].hit_rate, 2.0 / 3.0);
    CHECK_NEAR(found.metrics[0].profit_factor, 1.5 / 0.2);
}

void is_the_same_everywhere() {
    const std::size_t T = 150, C = 37;
    const World world(11, T, 1);
    std::mt19937 random(12);
    std::vector<std::uint8_t> entries(T * C), exits(T * C);
    std::vector<std::uint8_t> few_entries(T * ((C + 7) / 8)), few_exits(few_entries.size());
    for (std::size_t t = 0; t < T; ++t) {
        for (std::size_t c = 0; c < C; ++c) {
            const bool in = random() % 16 == 0, out = random() % 16 == 0;
            entries[t * C + c] = in;
            exits[t * C + c] = out;
            const std::size_t at = t * ((C + 7) / 8) + c / 8;
            few_entries[at] = static_cast<std::uint8_t>(few_entries[at] | in << (c % 8));
            few_exits[at] = static_cast<std::uint8_t>(few_exits[at] | out << (c % 8));
        }
    }
    const std::vector<double> size(C, -0.7), loss(C, 0.05), profit(C, 0.1), trailing(C, 0.04),
        bars(C, 9.0);
    Terms terms;
    terms.fee = 1e-3;
    terms.borrow_apr = 0.1;
    terms.periods_per_year = 12;
    for (const StopParameters& stops :
         {StopParameters{},
          StopParameters{loss.data(), profit.data(), trailing.data(), bars.data()}}) {
        setenv("WINDTUNNEL_ISA", "", 1);
        const Outcome first =
            run_signals(world, {entries.data(), exits.data(), false}, size, terms, stops);
        const auto same = [&](const Outcome& other) {
            CHECK(first.output.equity == other.output.equity);
            CHECK(first.output.fills == other.output.fills);
            CHECK(std::memcmp(first.metrics.data(), other.metrics.data(), C * sizeof(Metrics)) ==
                  0);
        };
        same(run_signals(world, {few_entries.data(), few_exits.data(), true}, size, terms, stops));
        same(run_signals(world, {entries.data(), exits.data(), false}, size, terms, stops, 3));
        for (const InstructionSet level : {InstructionSet::baseline, InstructionSet::avx2}) {
            if (level > windtunnel::widest_instruction_set()) break;
            setenv("WINDTUNNEL_ISA", windtunnel::name(level), 1);
            same(run_signals(world, {entries.data(), exits.data(), false}, size, terms, stops));
        }
    }
}

}  // namespace

int main() {
    holds_between_entry_and_exit();
    is_the_same_everywhere();
    return failures();
}
