#pragma once

#include <pybind11/pybind11.h>

namespace windtunnel::bindings {

void register_instruction_set(pybind11::module_& module);
void register_exposures(pybind11::module_& module);
void register_policy(pybind11::module_& module);
void register_signals(pybind11::module_& module);

}  // namespace windtunnel::bindings
