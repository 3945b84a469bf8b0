#include "core_info.hpp"

#include <pybind11/numpy.h>
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
  m.def("copy", [](const py::array& x, py::array& y, bool non_temporal, int num_threads) {
    const bool fits = (x.flags() & y.flags() & py::array::c_style) && x.nbytes() == y.nbytes() &&
                      x.nbytes() % sizeof(float) == 0;
    if (!fits) throw ValueError("copy: expected contiguous arrays of as many bytes, in fours");
    float* to = static_cast<float*>(y.mutable_data());
    const float* from = static_cast<const float*>(x.data());
    const int64_t count = x.nbytes() / static_cast<py::ssize_t>(sizeof(float));
    const py::gil_scoped_release released;
    copy(from, to, count, non_temporal, num_threads);
  });
}

}  // namespace normfast::python
