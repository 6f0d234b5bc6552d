#include "check.hpp"
#include "windtunnel/market.hpp"
#include "world.hpp"

using windtunnel::Fill;
using windtunnel::Market;

int main() {
    // Listed at bar 1, missing at bar 2, without volume at bar 3.
    World world({kNone, 10.0, kNone, 12.0}, {kNone, 11.0, kNone, 13.0});
    world.tradable = {1, 1, 1, 0};

    const Market at_open(world.view(), Fill::next_open);
    CHECK(at_open.listed == (std::vector<std::uint8_t>{0, 1, 0, 1}));
    CHECK(at_open.tradable == (std::vector<std::uint8_t>{0, 1, 0, 0}));
    CHECK(at_open.listed_count == (std::vector<std::uint32_t>{0, 1, 0, 1}));
    CHECK(at_open.mark[1] == 11.0);
    CHECK(at_open.mark[2] == 11.0);
    CHECK(at_open.mark[3] == 13.0);
    CHECK(at_open.fill_price[1] == 10.0);
    CHECK(at_open.fill_price[2] == 11.0);
    CHECK(at_open.fill_price[3] == 12.0);

    const Market at_close(world.view(), Fill::next_close);
    CHECK(at_close.fill_price == at_close.mark);
    return failures();
}
