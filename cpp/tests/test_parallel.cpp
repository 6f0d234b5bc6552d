#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "windtunnel/parallel.hpp"

int main() {
    for (const std::size_t threads : {1U, 2U, 7U}) {
        std::vector<int> visits(100, 0);
        windtunnel::parallel_for(visits.size(), threads, [&](std::size_t i) { ++visits[i]; });
        CHECK(visits == std::vector<int>(100, 1));
        bool thrown = false;
        try {
            windtunnel::parallel_for(100, threads, [](std::size_t i) {
                if (i == 42) throw std::runtime_error("piece 42");
            });
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
    }
    windtunnel::parallel_for(0, 3, [](std::size_t) { CHECK(false); });
    return failures();
}
