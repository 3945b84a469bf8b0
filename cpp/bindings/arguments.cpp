#include "arguments.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace normfast::python {
namespace {

constexpr int kFloat32Number = py::detail::npy_api::NPY_FLOAT_;
constexpr int kFloat64Number = py::detail::npy_api::NPY_DOUBLE_;

py::detail::npy_api& numpy() {
  static py::detail::npy_api& api = py::detail::npy_api::get();
  return api;
}

bool is_ndarray(py::handle object) {
  return Py_TYPE(object.ptr()) == numpy().PyArray_Type_ || numpy().PyArray_Check_(object.ptr());
}

bool is_masked(py::handle array) {
  if (Py_TYPE(array.ptr()) == numpy().PyArray_Type_) return false;
  return py::isinstance(array, py::module_::import("numpy.ma").attr("MaskedArray"));
}

bool is_int64(int number) {
  using api = py::detail::npy_api;
  return number == api::NPY_LONGLONG_ || (sizeof(long) == 8 && number == api::NPY_LONG_);
}

py::object new_array(int type, int ndim, const int64_t* shape, const int64_t* strides,
                     bool fortran = false) {
  py::ssize_t dims[kMaxDims], steps[kMaxDims];
  std::copy_n(shape, ndim, dims);
  if (strides) std::copy_n(strides, ndim, steps);
  PyObject* descr = numpy().PyArray_DescrFromType_(type);
  PyObject* array =
      numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descr, ndim, dims,
                                    strides ? steps : nullptr, nullptr, fortran, nullptr);
  if (!array) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}

void fill_view(py::handle object, View& view) {
  const auto* proxy = py::detail::array_proxy(object.ptr());
  view.data = proxy->data;
  view.writable = (proxy->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  view.ndim = proxy->nd;
  std::copy_n(proxy->dimensions, proxy->nd, view.shape);
  std::copy_n(proxy->strides, proxy->nd, view.strides);
}

}  // namespace

std::string type_name(py::handle object) {
  const py::handle type = py::type::handle_of(object);
  const std::string module = py::str(py::getattr(type, "__module__", py::str("")));
  const std::string name = py::str(type.attr("__qualname__"));
  return module.empty() || module == "builtins" ? name : module + "." + name;
}

void Arguments::fail(const std::string& what) const {
  throw ValueError(std::string(function_) + ": " + what);
}

void Arguments::fail_type(const std::string& what) const {
  throw TypeError(std::string(function_) + ": " + what);
}

void Arguments::array(const char* name, py::handle object, View& view) const {
  read_array(name, object, view);
  if (view.dtype == DType::kInt64) {
    fail_type(std::string(name) + " has dtype int64, expected float32 or float64");
  }
}

void Arguments::counter(const char* name, py::handle object, View& view) const {
  if (object.is_none()) return;
  read_array(name, object, view);
  if (view.dtype != DType::kInt64) fail_type(std::string(name) + " has not dtype int64");
}

void Arguments::read_array(const char* name, py::handle object, View& view) const {
  if (!is_ndarray(object)) {
    fail_type(std::string(name) + " must be a NumPy array, got " + type_name(object));
  }
  if (is_masked(object)) {
    fail_type(std::string(name) + " is a masked array, whose mask would be ignored; " +
              "where= will take masks");
  }
  const auto* proxy = py::detail::array_proxy(object.ptr());
  const auto dtype = py::reinterpret_borrow<py::dtype>(proxy->descr);
  const int number = dtype.num();
  const char order = py::detail::array_descriptor_proxy(proxy->descr)->byteorder;
  const bool native = order == '=' || order == '|';
  if (!native || (number != kFloat32Number && number != kFloat64Number && !is_int64(number))) {
    fail_type(std::string(name) + " has dtype " + std::string(py::str(py::object(dtype))) +
              ", expected float32 or float64" + (native ? "" : " in native byte order"));
  }
  if (proxy->nd > kMaxDims) {
    fail(std::string(name) + " has " + std::to_string(proxy->nd) + " dimensions, at most " +
         std::to_string(kMaxDims) + " are supported");
  }
  view.dtype = number == kFloat32Number   ? DType::kFloat32
               : number == kFloat64Number ? DType::kFloat64
                                          : DType::kInt64;
  fill_view(object, view);
}

void Arguments::optional_array(const char* name, py::handle object, View& view) const {
  if (!object.is_none()) array(name, object, view);
}

// An int as Python sees it: also NumPy's own, but not True or 1.0.
bool Arguments::is_integer(const char* name, py::handle object, int64_t& value) const {
  if (PyBool_Check(object.ptr())) return false;
  if (!PyLong_Check(object.ptr())) {
    if (is_ndarray(object) || !PyIndex_Check(object.ptr())) return false;
    const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
    if (!index) throw py::error_already_set();
    return is_integer(name, index, value);
  }
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (overflow) fail(std::string(name) + " is too large: " + std::string(py::str(object)));
  return true;
}

double Arguments::number(const char* name, py::handle object) const {
  if (PyFloat_CheckExact(object.ptr())) return PyFloat_AS_DOUBLE(object.ptr());
  const bool numeric = !PyBool_Check(object.ptr()) && !is_ndarray(object) &&
                       !PyComplex_Check(object.ptr()) && PyNumber_Check(object.ptr());
  if (numeric) {
    const double value = PyFloat_AsDouble(object.ptr());
    if (!(value == -1.0 && PyErr_Occurred())) return value;
    PyErr_Clear();
  }
  fail_type(std::string(name) + " must be a number, got " + type_name(object));
}

int64_t Arguments::integer(const char* name, py::handle object) const {
  int64_t value;
  if (is_integer(name, object, value)) return value;
  fail_type(std::string(name) + " must be an int, got " + type_name(object));
}

bool Arguments::flag(const char* name, py::handle object) const {
  if (object.ptr() == Py_True) return true;
  if (object.ptr() == Py_False) return false;
  int64_t value;
  if (type_name(object) == "numpy.bool") return PyObject_IsTrue(object.ptr()) == 1;
  if (is_integer(name, object, value) && (value == 0 || value == 1)) return value == 1;
  fail_type(std::string(name) + " must be True or False, got " + type_name(object));
}

int Arguments::threads(py::handle object) const {
  if (object.is_none()) return 0;
  const int64_t value = integer("num_threads", object);
  if (value < 1) {
    fail("num_threads is " + std::to_string(value) + ", expected at least 1, or None");
  }
  return static_cast<int>(std::min<int64_t>(value, 1024));
}

int Arguments::checked_axis(const char* name, int64_t value, int ndim) const {
  if (value < -ndim || value >= ndim) {
    fail(std::string(name) + " is " + std::to_string(value) + ", out of range for " +
         std::to_string(ndim) + " dimensions");
  }
  return static_cast<int>(value < 0 ? value + ndim : value);
}

int Arguments::one_axis(const char* name, py::handle object, int ndim) const {
  return checked_axis(name, integer(name, object), ndim);
}

Axes Arguments::axes(const char* name, py::handle object, int ndim, Axes none) const {
  if (object.is_none() && none) return none;
  int64_t value;
  if (is_integer(name, object, value)) return axis(checked_axis(name, value, ndim));
  if (!PyTuple_Check(object.ptr())) {
    fail_type(std::string(name) + " must be an int or a tuple of ints, got " + type_name(object));
  }
  Axes set = 0;
  for (const py::handle item : py::reinterpret_borrow<py::tuple>(object)) {
    if (!is_integer(name, item, value)) {
      fail_type(std::string(name) + " must hold ints, got " + type_name(item));
    }
    const Axes bit = axis(checked_axis(name, value, ndim));
    if (set & bit) fail(std::string(name) + " names axis " + std::to_string(value) + " twice");
    set |= bit;
  }
  return set;
}

Axes Arguments::trailing(py::handle shape, const View& x) const {
  int64_t sizes[kMaxDims];
  int n = 0;
  int64_t value;
  if (is_integer("normalized_shape", shape, value)) {
    sizes[n++] = value;
  } else if (PyTuple_Check(shape.ptr()) || PyList_Check(shape.ptr())) {
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(shape)) {
      if (!is_integer("normalized_shape", item, value)) {
        fail_type("normalized_shape must hold ints, got " + type_name(item));
      }
      if (n == kMaxDims) fail("normalized_shape has more dimensions than x");
      sizes[n++] = value;
    }
  } else {
    fail_type("normalized_shape must be an int or a tuple of ints, got " + type_name(shape) +
              (is_ndarray(shape) ? "; did you mean weight=?" : ""));
  }
  if (n == 0) fail("normalized_shape is empty, expected at least one size");
  if (n > x.ndim || !std::equal(sizes, sizes + n, x.shape + (x.ndim - n))) {
    std::string text, found;
    for (int i = 0; i < n; ++i) text += std::to_string(sizes[i]) + (i + 1 < n ? ", " : "");
    for (int i = 0; i < x.ndim; ++i) {
      found += std::to_string(x.shape[i]) + (i + 1 < x.ndim ? ", " : "");
    }
    fail("normalized_shape is (" + text + "), which is not how x's shape (" + found + ") ends");
  }
  Axes set = 0;
  for (int i = x.ndim - n; i < x.ndim; ++i) set |= axis(i);
  return set;
}

Result::Result(const Arguments& arguments, py::handle out, py::handle x, const View& like,
               View& view) {
  if (!out.is_none()) {
    arguments.array("out", out, view);
    array_ = py::reinterpret_borrow<py::object>(out);
    return;
  }
  const int type = like.dtype == DType::kFloat32 ? kFloat32Number : kFloat64Number;
  const int flags = py::detail::array_proxy(x.ptr())->flags;
  if (flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) {
    array_ = new_array(type, like.ndim, like.shape, nullptr);
  } else if (flags & py::detail::npy_api::NPY_ARRAY_F_CONTIGUOUS_) {
    array_ = new_array(type, like.ndim, like.shape, nullptr, true);
  } else {
    // The axes in x's order, packed.
    int order[kMaxDims];
    int64_t strides[kMaxDims];
    std::iota(order, order + like.ndim, 0);
    std::stable_sort(order, order + like.ndim, [&](int a, int b) {
      return std::abs(like.strides[a]) > std::abs(like.strides[b]);
    });
    int64_t step = size_of(like.dtype);
    for (int k = like.ndim - 1; k >= 0; --k) {
      strides[order[k]] = step;
      step *= std::max<int64_t>(like.shape[order[k]], 1);
    }
    array_ = new_array(type, like.ndim, like.shape, strides);
  }
  view.dtype = like.dtype;
  fill_view(array_, view);
}

py::object new_statistics(const View& x, Axes reduced, bool keepdims) {
  int64_t shape[kMaxDims];
  int n = 0;
  for (int i = 0; i < x.ndim; ++i) {
    if (!(reduced & axis(i))) {
      shape[n++] = x.shape[i];
    } else if (keepdims) {
      shape[n++] = 1;
    }
  }
  return new_array(kFloat64Number, n, shape, nullptr);
}

double* float64_data(const py::object& array) {
  return static_cast<double*>(static_cast<void*>(py::detail::array_proxy(array.ptr())->data));
}

}  // namespace normfast::python
