// Every front door in worlds made from bytes. The entry point is libFuzzer's; with a compiler that
// has none, random_inputs.cpp calls it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bytes.hpp"
#include "case.hpp"
#include "checks.hpp"

namespace {

// Return arithmetic has no log; its equity is the same whoever shares a tile, and a tile that is
// not full goes bar by bar.
template <class Number, class OpenDoor>
void check_returns(const Case& world, const std::vector<Number>& exposures, const OpenDoor& door,
                   std::size_t cut) {
    const std::size_t C = world.configurations;
    const Found found = run_case(world, door, false, false, 1);
    require_finite(found);
    require_metrics(world, found);
    require_same_totals(run_case(world, door, false, false, 3), found,
                        "the same bits with three threads");
    if (cut > 0) {
        require_same_totals(run_in_pieces(world, door, false, false, cut), found,
                            "two pieces are the whole");
    }
    const std::size_t last = C - 1;
    std::vector<Number> alone(world.bars * world.instruments);
    for (std::size_t i = 0; i < alone.size(); ++i) alone[i] = exposures[i * C + last];
    Found single(world.bars, 1);
    const windtunnel::Exposures<Number> narrow{alone.data(), world.band.data() + last, 1};
    windtunnel::run(narrow, world.view(0, world.bars, false), world.terms,
                    single.results(0, nullptr), 1);
    for (std::size_t t = 0; t < world.bars; ++t) {
        require(single.equity[t] == found.equity[t * C + last], "the same alone", last, t);
    }
    require(std::memcmp(&single.metrics[0], &found.metrics[last], sizeof single.metrics[0]) == 0,
            "the same metrics alone", last);
}

template <class Number>
void check_exposures(Case& world, Bytes& bytes, std::size_t cut) {
    const std::size_t row = world.instruments * world.configurations;
    const std::size_t count = world.bars * row;
    const bool by_returns = bytes.flag(), calm = bytes.flag();
    const auto exposures =
        calm ? world.draw_many<Number>(count, {0.0, 0.0, 0.5, 0.5, 1.0, -0.25, 1.5})
             : world.draw_many<Number>(count, {kNone, kNone, kNone, 0.0, 0.0, 0.5, 0.5, 0.25, 1.0,
                                               1.0, 0.75, -1.0, -1.0, -0.5, -0.25, 3.0, 1000.0});
    if (calm) std::ranges::fill(world.band, 0.0);
    const auto door = [&](std::size_t first) {
        return windtunnel::Exposures<Number>{exposures.data() + first * row, world.band.data(),
                                             world.configurations};
    };
    if (by_returns) {
        world.keep_to_returns(calm);
        check_returns(world, exposures, door, cut);
    } else {
        check_case(world, door, false, cut);
    }
}

void check_policies(Case& world, Bytes& bytes, std::size_t cut) {
    const std::size_t C = world.configurations;
    const std::size_t columns = bytes.between(1, 5);
    const bool long_only = bytes.flag();
    const std::size_t row = world.instruments * columns;
    const auto scores =
        world.draw_many<float>(world.bars * row, {kNone, 0.0, 1.0, -1.0, 0.3, -0.3, 0.3, 1e30});
    std::vector<std::int64_t> column(C);
    for (auto& each : column) each = static_cast<std::int64_t>(world.random() % columns);
    const auto enter = world.draw_many<double>(C, {0.0, 0.25, 0.3F, 2.0});
    const auto exit = world.draw_many<double>(C, {0.0, 0.25, 1.0});
    const auto leverage = world.draw_many<double>(C, {0.1, 0.5, 1.0, 1.0, 4.0, 1000.0});
    windtunnel::PolicyParameters parameters;
    parameters.column = column.data();
    parameters.enter = enter.data();
    parameters.exit = exit.data();
    parameters.leverage = leverage.data();
    parameters.band = world.band.data();
    parameters.count = C;
    parameters.long_only = long_only;
    parameters.stops = world.stops();
    const bool aims = bytes.flag();
    const auto volatility =
        world.draw_many<double>(world.bars * world.instruments, {kNone, 1e-6, 0.1, 0.3, 2.0});
    const auto target = world.draw_many<double>(C, {0.01, 0.1, 0.5});
    parameters.volatility_target = aims ? target.data() : nullptr;
    const auto door = [&](std::size_t first) {
        windtunnel::PolicyParameters from = parameters;
        from.volatility = aims ? volatility.data() + first * world.instruments : nullptr;
        return windtunnel::Policies(scores.data() + first * row, columns, from);
    };
    check_case(world, door, parameters.stops.any() || bytes.flag(), cut);
}

void check_signals(Case& world, Bytes& bytes, std::size_t cut) {
    const std::size_t C = world.configurations;
    const bool packed = bytes.flag();
    const std::size_t width = packed ? (C + 7) / 8 : C;
    const std::size_t row = world.instruments * width;
    const std::uint64_t rarity = bytes.between(1, 12);
    const auto draw = [&] {
        std::vector<std::uint8_t> flags(world.bars * row);
        for (std::uint8_t& flag : flags) {
            const std::uint64_t drawn = world.random();
            flag = static_cast<std::uint8_t>(drawn % rarity != 0 ? 0 : packed ? drawn >> 32U : 1);
        }
        return flags;
    };
    const std::vector<std::uint8_t> entries = draw(), exits = draw();
    const auto size = world.draw_many<double>(C, {0.1, 0.5, 1.0, 1.0, -1.0, -0.3, 4.0, 1000.0});
    const windtunnel::StopParameters stops = world.stops();
    const auto door = [&](std::size_t first) {
        const windtunnel::Flags flags{entries.data() + first * row, exits.data() + first * row,
                                      packed};
        return windtunnel::Signals(flags, size.data(), C, world.terms.trading_rate(), stops);
    };
    check_case(world, door, stops.any() || bytes.flag(), cut);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes bytes(data, size);
    const std::size_t kind = bytes.between(0, 3);
    Case world(bytes);
    const std::size_t cut = world.bars > 1 ? bytes.between(0, world.bars - 1) : 0;
    if (kind == 0) {
        check_exposures<float>(world, bytes, cut);
    } else if (kind == 1) {
        check_exposures<double>(world, bytes, cut);
    } else if (kind == 2) {
        check_policies(world, bytes, cut);
    } else {
        check_signals(world, bytes, cut);
    }
    return 0;
}
