#pragma once

#include <pybind11/pybind11.h>

namespace normfast::python {

// info() and use_isa(). Chooses the kernels, so that a bad NORMFAST_ISA fails the import.
void define_info(pybind11::module_& m);

}  // namespace normfast::python
