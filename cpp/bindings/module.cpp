// Table of contents of windtunnel._core.
#include <pybind11/pybind11.h>

#include "registrations.hpp"

PYBIND11_MODULE(_core, module) {
    module.doc() = "The compiled engine of Windtunnel.";
    windtunnel::bindings::register_instruction_set(module);
    windtunnel::bindings::register_exposures(module);
    windtunnel::bindings::register_policy(module);
    windtunnel::bindings::register_signals(module);
}
