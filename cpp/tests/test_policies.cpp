#include "check.hpp"
#include "world.hpp"

using windtunnel::Policies;
using windtunnel::PolicyParameters;
using windtunnel::Terms;

namespace {

// Equity of three policies on a price that doubles every bar shows which signal was held.
Output run_policies(const std::vector<float>& scores, bool long_only) {
    const World world({1.0, 2.0, 4.0, 8.0, 16.0}, {1.0, 2.0, 4.0, 8.0, 16.0});
    const std::vector<std::int64_t> column{1, 0, 0};
    const std::vector<double> enter{0.5, 0.5, 0.5}, exit{0.25, 0.25, 0.5}, leverage{1, 1, 1};
    const std::vector<double> band{0, 0, 0};
    const PolicyParameters parameters{
        column.data(), enter.data(), exit.data(), leverage.data(), band.data(), 3, long_only};
    Terms terms;
    terms.initial_cash = 1.0;
    Output output(world.bars, 3);
    windtunnel::run(Policies(scores.data(), 2, parameters), world.view(), terms, output.results(),
                    1);
    return output;
}

}  // namespace

int main() {
    // (T, N = 1, S = 2). Column 0: enter long, weaken to 0.3, no opinion, close. Column 1: nothing.
    const std::vector<float> scores{0.5F, 0.4F, 0.3F, 0.4F, NAN, NAN, 0.2F, 0.4F, 1.0F, 1.0F};
    const Output out = run_policies(scores, false);
    const auto equity = [&](std::size_t t, std::size_t p) { return out.equity[t * 3 + p]; };
    // Policy 0 reads column 1 and stays flat; results come in the order of the policies.
    CHECK(equity(4, 0) == 1.0);
    CHECK(out.fills[0] == 0);
    // Policy 1 enters at the open of bar 1 and holds until the score of 0.2 at bar 3.
    CHECK_NEAR(equity(3, 1), 4.0);
    CHECK_NEAR(equity(4, 1), 8.0);
    // Policy 2 has left at 0.3: out at the open of bar 2, at 4.
    CHECK_NEAR(equity(4, 2), 2.0);
    CHECK(out.fills[1] == 2);
    CHECK(out.fills[2] == 2);
    CHECK_NEAR(out.peak_input[0], 0.4F);

    // A strong opposite score turns the signal round, or closes it when short is out of reach.
    const std::vector<float> turning{0.5F, 0, -0.5F, 0, -0.5F, 0, -0.5F, 0, -0.5F, 0};
    const Output shorted = run_policies(turning, false);
    CHECK(shorted.liquidated[1] == 3);  // short at 4, worth nothing at 8
    const Output flat = run_policies(turning, true);
    CHECK_NEAR(flat.equity[4 * 3 + 1], 2.0);
    return failures();
}
