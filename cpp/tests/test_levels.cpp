// Same bits for every instruction set, number of threads and neighbour in the tile.
#include <cstdlib>
#include <random>

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

    const InstructionSet widest = windtunnel::widest_instruction_set();
    const Output reference = run_exposures(world, exposures, 0.1, terms);
    for (const InstructionSet level :
         {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
        if (level > widest) break;
        setenv("WINDTUNNEL_ISA", windtunnel::name(level), 1);
        CHECK(windtunnel::instruction_set() == level);
        for (const std::size_t threads : {1U, 2U, 5U}) {
            CHECK(same(run_exposures(world, exposures, 0.1, terms, threads), reference));
        }
    }
    setenv("WINDTUNNEL_ISA", "none such", 1);
    bool refused = false;
    try {
        windtunnel::instruction_set();
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
    unsetenv("WINDTUNNEL_ISA");

    // Each configuration alone, in the first lane of its own tile.
    bool alone_equal = true;
    for (std::size_t c = 0; c < configurations; ++c) {
        std::vector<float> column(world.bars * world.instruments);
        for (std::size_t i = 0; i < column.size(); ++i)
            column[i] = exposures[i * configurations + c];
        const Output alone = run_exposures(world, column, 0.1, terms);
        for (std::size_t t = 0; t < world.bars; ++t) {
            alone_equal =
                alone_equal && alone.equity[t] == reference.equity[t * configurations + c];
        }
    }
    CHECK(alone_equal);
    CHECK(std::ranges::any_of(reference.liquidated, [](auto bar) { return bar >= 0; }));
    return failures();
}
