#include "windtunnel/instruction_set.hpp"

#include "registrations.hpp"

namespace windtunnel::bindings {

void register_instruction_set(pybind11::module_& module) {
    module.def(
        "instruction_set", [] { return name(instruction_set()); },
        "Instruction set that the kernels run with: avx512, avx2, v2, neon or plain.");
    module.def(
        "widest_instruction_set", [] { return name(widest_instruction_set()); },
        "Widest instruction set of this processor that the kernels know.");
}

}  // namespace windtunnel::bindings
