// Same bits for every instruction set, number of threads and neighbour in the tile.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

#include "check.hpp"
#include "world.hpp"

using windtunnel::InstructionSet;
using windtunnel::Terms;

namespace {

template <class Number>
std::vector<Number> random_exposures(const World& world, std::size_t configurations) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> exposure(-3.0, 3.0);
    std::vector<Number> values(world.bars * world.instruments * configurations);
    for (Number& value : values) {
        value = static_cast<Number>(random() % 10 == 0 ? kNone : exposure(random));
    }
    return values;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

bool same(const Output& a, const Output& b) {
    return same_bits(a.equity, b.equity) && same_bits(a.turnover, b.turnover) &&
           same_bits(a.costs, b.costs) && same_bits(a.financing, b.financing) &&
           same_bits(a.exposure, b.exposure) && a.fills == b.fills && a.dropped == b.dropped &&
           a.liquidated == b.liquidated;
}

template <class Number>
void check_levels(const World& world, const std::vector<Number>& exposures, double band,
                  const Terms& terms, const Output& reference) {
    const InstructionSet widest = windtunnel::widest_instruction_set();
    for (const InstructionSet level :
         {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
        if (level > widest) break;
        setenv("WINDTUNNEL_ISA", windtunnel::name(level), 1);
        CHECK(windtunnel::instruction_set() == level);
        for (const std::size_t threads : {1U, 2U, 5U}) {
            CHECK(same(run_exposures(world, exposures, band, terms, threads), reference));
        }
    }
    unsetenv("WINDTUNNEL_ISA");
}

// Each configuration alone, in the first lane of its own tile.
template <class Number>
void check_alone(const World& world, const std::vector<Number>& exposures, double band,
                 const Terms& terms, const Output& reference) {
    const std::size_t C = reference.configurations;
    bool equal = true;
    for (std::size_t c = 0; c < C; ++c) {
        std::vector<Number> column(world.bars * world.instruments);
        for (std::size_t i = 0; i < column.size(); ++i) column[i] = exposures[i * C + c];
        const Output alone = run_exposures(world, column, band, terms);
        for (std::size_t t = 0; t < world.bars; ++t) {
            equal = equal && alone.equity[t] == reference.equity[t * C + c];
        }
    }
    CHECK(equal);
}

}  // namespace

int main() {
    const World world(3, 150, 3);
    const std::size_t configurations = 37;  // two whole tiles and a part of one
    const auto exposures = random_exposures<float>(world, configurations);
    Terms terms;
    terms.fee = 0.001;
    terms.borrow_apr = 0.1;
    terms.financing_apr = 0.2;
    terms.maintenance = 0.1;

    const Output reference = run_exposures(world, exposures, 0.1, terms);
    check_levels(world, exposures, 0.1, terms, reference);
    setenv("WINDTUNNEL_ISA", "none such", 1);
    bool refused = false;
    try {
        windtunnel::instruction_set();
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
    unsetenv("WINDTUNNEL_ISA");

    check_alone(world, exposures, 0.1, terms, reference);
    CHECK(std::ranges::any_of(reference.liquidated, [](auto bar) { return bar >= 0; }));

    // Return arithmetic takes full tiles by blocks of bars; some are ruined in theirs.
    const World whole(9, 400, 1, false);
    Terms quick;
    quick.fee = 0.001;
    quick.fill = windtunnel::Fill::next_close;
    quick.by_returns = true;
    auto targets = random_exposures<float>(whole, configurations);
    for (float& target : targets) target = std::isnan(target) ? 0.5F : target * 2;
    const Output by_blocks = run_exposures(whole, targets, 0.0, quick);
    check_levels(whole, targets, 0.0, quick, by_blocks);
    check_alone(whole, targets, 0.0, quick, by_blocks);
    CHECK(std::ranges::any_of(by_blocks.liquidated, [](auto bar) { return bar >= 0; }));
    CHECK(std::ranges::any_of(by_blocks.liquidated, [](auto bar) { return bar < 0; }));
    return failures();
}
