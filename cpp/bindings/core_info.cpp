#include "core_info.hpp"

#include <pybind11/stl.h>

#include "normfast/info.hpp"
#include "normfast/normfast.hpp"

namespace normfast::python {

namespace py = pybind11;

void define_info(py::module_& m) {
  try {
    info();
  } catch (const ValueError& e) {
    throw py::import_error(std::string("normfast: ") + e.what());
  }
  m.def("info", [] {
    const Info i = info();
    using namespace py::literals;
    return py::dict("version"_a = i.version, "cpu"_a = i.cpu, "isa"_a = i.isa,
                    "isas_available"_a = i.isas_available, "isas_built"_a = i.isas_built,
                    "openmp"_a = i.openmp, "cuda"_a = i.cuda, "threads"_a = i.threads,
                    "threads_why"_a = i.threads_why,
                    "caches"_a = py::dict("L1d"_a = i.l1d, "L2"_a = i.l2, "L3"_a = i.l3));
  });
  m.def("use_isa", [](const std::string& name) {
    std::string previous = info().isa;
    use_isa(name);
    return previous;
  });
}

}  // namespace normfast::python
