// A loop over independent pieces of work, shared by threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace windtunnel {

// Gives new threads a processor of their own. A scheduler that has seen the machine idle leaves
// them for milliseconds where they were made, behind the thread that made them: as long as a whole
// sweep may take. They are free to move again at once.
class Processors {
  public:
#if defined(__linux__)
    Processors() {
        if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
        others_ = allowed_;
        const int here = sched_getcpu();
        if (here < 0 || !CPU_ISSET(here, &others_)) return;
        CPU_CLR(here, &others_);
        free_ = CPU_COUNT(&others_);
    }

    void place(std::thread& made) {
        if (free_ == 0) return;
        --free_;
        const pthread_t thread = made.native_handle();
        if (pthread_setaffinity_np(thread, sizeof others_, &others_) == 0) {
            pthread_setaffinity_np(thread, sizeof allowed_, &allowed_);
        }
    }

  private:
    cpu_set_t allowed_, others_;
    int free_ = 0;
#else
    void place(std::thread&) {}
#endif
};

// Calls work(i) once for every i in [0, count). Pieces must not share what they write; then the
// result does not depend on the number of threads. The first exception is thrown again here.
template <class Work>
void parallel_for(std::size_t count, std::size_t threads, const Work& work) {
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto drain = [&] {
        try {
            for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
        } catch (...) {
            next.store(count);
            const std::scoped_lock lock(failure_mutex);
            if (!failure) failure = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    const std::size_t wanted = std::min(threads, count);
    try {
        helpers.reserve(wanted);
        Processors processors;
        while (helpers.size() + 1 < wanted) {
            helpers.emplace_back(drain);
            processors.place(helpers.back());
        }
    } catch (const std::system_error&) {
        // The system grants no more threads; those that started share the work.
    }
    drain();
    for (std::thread& helper : helpers) helper.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace windtunnel
