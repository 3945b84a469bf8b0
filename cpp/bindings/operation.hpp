// Operations as Python calls them. A definition in Python says the names, the defaults and the
// documentation; C++ binds the arguments and does the work:
//
//     @operation
//     def weight_norm(v, g, channel_axis=0, *, dtype=None, out=None, ...):
//         """Documentation."""
//
// A frame of Python whose one line passes fourteen arguments on costs as much as the statistics of
// a short row, and so does a dispatch that knows overloads.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace normfast::python {

namespace py = pybind11;

// What an operation does once all arguments are bound, in the order of the definition.
struct Implementation {
  const char* name;
  int parameters;
  PyObject* (*run)(PyObject* const* arguments);
};

template <auto kFunction, std::size_t... kIndex>
PyObject* run_bound(PyObject* const* arguments, std::index_sequence<kIndex...>) {
  try {
    return kFunction(py::handle(arguments[kIndex])...).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (...) {
    py::detail::try_translate_exceptions();  // by what the module registers
  }
  return nullptr;
}

template <auto kFunction, class... Arguments>
constexpr Implementation implementation(const char* name, py::object (*)(Arguments...)) {
  return {name, sizeof...(Arguments), [](PyObject* const* arguments) {
            return run_bound<kFunction>(arguments, std::index_sequence_for<Arguments...>());
          }};
}

// An entry of the table of them, which an empty one ends.
template <auto kFunction>
constexpr Implementation implementation(const char* name) {
  return implementation<kFunction>(name, kFunction);
}

// Adds the type `operation`, whose instances run what the table has under the definition's name.
void define_operation(py::module_& m, const Implementation* table);

}  // namespace normfast::python
