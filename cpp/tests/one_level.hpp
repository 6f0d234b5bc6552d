// Included before everything else where one instruction set is enough: instrumented kernels are
// slow to compile, and the levels differ in nothing but the width of their vectors.
#pragma once

#include "windtunnel/instruction_set.hpp"

#undef WINDTUNNEL_X86_LEVELS
