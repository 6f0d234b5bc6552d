#include "check.hpp"
#include "world.hpp"

using windtunnel::Fill;
using windtunnel::Terms;

int main() {
    // Decided at bar 0, long half of equity; decided at bar 1, short all of it; then nothing.
    const World world({10.0, 20.0, 25.0, 50.0}, {10.0, 25.0, 20.0, 40.0});
    const std::vector<double> exposures{0.5, -1.0, kNone, kNone};
    Terms terms;
    terms.initial_cash = 1000.0;
    terms.fee = 0.01;

    const Output open = run_exposures(world, exposures, 0.0, terms);
    // Bar 1: 500 of value at 20 is 25 units; cash 1000 - 500 - 5 = 495; 495 + 25 * 25 = 1120.
    CHECK_NEAR(open.equity[0], 1000.0);
    CHECK_NEAR(open.equity[1], 1120.0);
    // Bar 2: equity at 25 is 1120: -44.8 units, 69.8 sold for 1745 less 17.45; cash 2222.55.
    CHECK_NEAR(open.equity[2], 2222.55 - 44.8 * 20.0);
    CHECK_NEAR(open.equity[3], 2222.55 - 44.8 * 40.0);
    CHECK_NEAR(open.costs[0], 22.45);
    CHECK_NEAR(open.turnover[0], 0.5 + 1745.0 / 1120.0);
    CHECK(open.fills[0] == 2);
    CHECK(open.dropped[0] == 0);
    CHECK(open.liquidated[0] == -1);

    terms.fill = Fill::next_close;
    const Output close = run_exposures(world, exposures, 0.0, terms);
    // Bar 1: 500 at 25 is 20 units, for 505.
    CHECK_NEAR(close.equity[1], 495.0 + 20.0 * 25.0);
    terms.fill = Fill::same_close;
    const Output same = run_exposures(world, exposures, 0.0, terms);
    // Bar 0: 500 at 10 is 50 units, for 505; before the next order they are worth 1250.
    CHECK_NEAR(same.equity[0], 495.0 + 500.0);

    // A bar without volume drops the order; the band leaves a small difference alone.
    World closed = world;
    closed.tradable[1] = 0;
    const Output dropped =
        run_exposures(closed, std::vector<double>{0.5, 0.5, 0.5, 0.5}, 0.6, terms);
    CHECK(dropped.fills[0] == 0);
    CHECK(dropped.dropped[0] == 0);
    terms.fill = Fill::next_open;
    const Output waited =
        run_exposures(closed, std::vector<double>{0.5, kNone, kNone, kNone}, 0.0, terms);
    CHECK(waited.fills[0] == 0);
    CHECK(waited.dropped[0] == 1);
    CHECK_NEAR(waited.equity[3], 1000.0);
    return failures();
}
