// Feeds the fuzz target without libFuzzer, and takes its way of counting: -runs=N random inputs
// from seed 1, or the files that are named, each an input to look at again. The input that was
// tried when the process aborted is left in crash-input.bin.
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::uint8_t> current;

void keep_input(int) {
    if (std::FILE* file = std::fopen("crash-input.bin", "wb")) {
        std::fwrite(current.data(), 1, current.size(), file);
        std::fclose(file);
    }
}

void try_input() {
    LLVMFuzzerTestOneInput(current.data(), current.size());
}

}  // namespace

// Sanitizers abort too, when they are there.
extern "C" const char* __asan_default_options() {
    return "abort_on_error=1";
}
extern "C" const char* __ubsan_default_options() {
    return "abort_on_error=1:print_stacktrace=1";
}

int main(int count, char** arguments) {
    std::signal(SIGABRT, keep_input);
    std::size_t runs = 1000;
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        if (argument.starts_with("-runs=")) {
            runs = std::strtoull(arguments[i] + 6, nullptr, 10);
        } else if (!argument.starts_with("-")) {
            std::ifstream file(arguments[i], std::ios::binary);
            current.assign(std::istreambuf_iterator<char>(file), {});
            try_input();
            runs = 0;
        }
    }
    std::mt19937 random(1);
    for (std::size_t run = 0; run < runs; ++run) {
        current.resize(64 + random() % 600);
        for (std::uint8_t& byte : current) byte = static_cast<std::uint8_t>(random());
        try_input();
    }
    std::printf("%zu inputs\n", runs);
    return 0;
}
