#include "check.hpp"
#include "world.hpp"

using windtunnel::Terms;

int main() {
    // Short twice the equity; the price doubles from 10 to 20 and would come back.
    const World world({10.0, 10.0, 20.0, 10.0}, {10.0, 10.0, 20.0, 10.0});
    Terms terms;
    terms.initial_cash = 1000.0;
    terms.fee = 0.001;
    const Output broken =
        run_exposures(world, std::vector<float>{-2.0F, -2.0F, -2.0F, -2.0F}, 9.0, terms);
    // No order lies outside a band of nine: the account never trades.
    CHECK(broken.fills[0] == 0);

    const Output out = run_exposures(world, std::vector<float>{-2.0F, NAN, 1.0F, 1.0F}, 0.0, terms);
    // 200 units short at 10: cash 3000 less 2 of fees. At 20 they cost 4000: -1002, less 4 of fees.
    CHECK_NEAR(out.equity[1], 998.0);
    CHECK_NEAR(out.equity[2], -1006.0);
    CHECK_NEAR(out.equity[3], -1006.0);
    CHECK_NEAR(out.costs[0], 6.0);
    CHECK(out.liquidated[0] == 2);
    CHECK(out.fills[0] == 2);

    // Gross exposure at the closes: 0, 2000 / 998, and flat from the liquidation on.
    CHECK_NEAR(out.exposure[0], 2000.0 / 998.0 / 4.0);

    // The debt of a closed account does not grow; a maintenance level closes it earlier.
    terms.financing_apr = 1.0;
    CHECK(run_exposures(world, std::vector<float>{-2.0F, NAN, NAN, NAN}, 0.0, terms).equity[3] ==
          run_exposures(world, std::vector<float>{-2.0F, NAN, NAN, NAN}, 0.0, terms).equity[2]);
    terms.maintenance = 0.6;
    CHECK(
        run_exposures(world, std::vector<float>{-2.0F, NAN, NAN, NAN}, 0.0, terms).liquidated[0] ==
        1);
    return failures();
}
