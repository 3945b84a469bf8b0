// Functions of the module as plain vectorcalls: pybind11's own dispatch costs 80 ns a call, and its
// TypeError prints every argument's data.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace normfast::python {

namespace py = pybind11;

template <auto kFunction, std::size_t... kIndex>
PyObject* call(PyObject* const* arguments, std::index_sequence<kIndex...>) {
  try {
    return kFunction(py::handle(arguments[kIndex])...).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (...) {
    py::detail::try_translate_exceptions();  // by what the module registers
  }
  return nullptr;
}

template <class... Arguments>
constexpr std::size_t count_of(py::object (*)(Arguments...)) {
  return sizeof...(Arguments);
}

// All arguments positional, none left out.
template <auto kFunction>
PyObject* fastcall(PyObject*, PyObject* const* arguments, Py_ssize_t given) {
  constexpr std::size_t expected = count_of(kFunction);
  if (given != static_cast<Py_ssize_t>(expected)) {
    PyErr_Format(PyExc_TypeError, "expected %zu arguments, got %zd", expected, given);
    return nullptr;
  }
  return call<kFunction>(arguments, std::make_index_sequence<expected>());
}

// An entry of a module's method table.
template <auto kFunction>
PyMethodDef method(const char* name) {
  const auto function = reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(
      static_cast<PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t)>(fastcall<kFunction>)));
  return {name, function, METH_FASTCALL, nullptr};
}

}  // namespace normfast::python
