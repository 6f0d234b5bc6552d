// Checks that say what they found; a program of checks ends with `return failures();`.
#pragma once

#include <cmath>
#include <cstdio>

inline int& failures() {
    static int count = 0;
    return count;
}

inline void report(bool passed, const char* text, const char* file, int line) {
    if (passed) return;
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
}

inline void report_near(double found, double expected, const char* text, const char* file,
                        int line) {
    if (std::fabs(found - expected) <= 1e-12 * std::fmax(1.0, std::fabs(expected))) return;
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s is %.17g, expected %.17g\n", file, line, text, found,
                 expected);
}

#define CHECK(condition) report((condition), #condition, __FILE__, __LINE__)
#define CHECK_NEAR(found, expected) report_near((found), (expected), #found, __FILE__, __LINE__)
