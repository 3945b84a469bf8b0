#include "arguments.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "buffers.hpp"
#include "dlpack.hpp"

namespace normfast::python {
namespace {

py::detail::npy_api& numpy() {
  static py::detail::npy_api& api = py::detail::npy_api::get();
  return api;
}

bool is_ndarray(py::handle object) {
  return is_exactly_ndarray(object) || numpy().PyArray_Check_(object.ptr());
}

bool is_masked(py::handle array) {
  return py::isinstance(array, py::module_::import("numpy.ma").attr("MaskedArray"));
}

constexpr int kHalfNumber = 23;  // which pybind11 does not name

// ml_dtypes gives bfloat16 a number of its own when it is imported.
int bfloat16_number() {
  static int number = -1;
  if (number < 0) {
    const py::object modules = py::module_::import("sys").attr("modules");
    if (modules.contains("ml_dtypes")) {
      const py::object type = modules["ml_dtypes"].attr("bfloat16");
      number = py::dtype::from_args(type).num();
    }
  }
  return number;
}

std::optional<DType> type_of(int number) {
  using api = py::detail::npy_api;
  switch (number) {
    case api::NPY_FLOAT_:
      return DType::kFloat32;
    case api::NPY_DOUBLE_:
      return DType::kFloat64;
    case kHalfNumber:
      return DType::kFloat16;
    case api::NPY_UBYTE_:
      return DType::kUInt8;
    case api::NPY_BYTE_:
      return DType::kInt8;
    case api::NPY_USHORT_:
      return DType::kUInt16;
    case api::NPY_SHORT_:
      return DType::kInt16;
    case api::NPY_INT_:
      return DType::kInt32;
    case api::NPY_LONG_:
      return sizeof(long) == 8 ? DType::kInt64 : DType::kInt32;
    case api::NPY_LONGLONG_:
      return DType::kInt64;
    case api::NPY_BOOL_:
      return DType::kBool;
    default:
      if (number >= 256 && number == bfloat16_number()) return DType::kBFloat16;
      return std::nullopt;
  }
}

// A NumPy type number of a floating type.
int number_of(DType type) {
  using api = py::detail::npy_api;
  switch (type) {
    case DType::kFloat64:
      return api::NPY_DOUBLE_;
    case DType::kFloat16:
      return kHalfNumber;
    case DType::kBFloat16:
      try {
        py::module_::import("ml_dtypes");
      } catch (py::error_already_set&) {
        throw TypeError(
            "a bfloat16 result needs the package ml_dtypes; or give dtype=, or an out= that "
            "holds bfloat16");
      }
      return bfloat16_number();
    default:
      return api::NPY_FLOAT_;
  }
}

py::object new_array(int type, int ndim, const int64_t* shape, const int64_t* strides) {
  py::ssize_t dims[kMaxDims], steps[kMaxDims];
  std::copy_n(shape, ndim, dims);
  if (strides) std::copy_n(strides, ndim, steps);
  PyObject* descr = numpy().PyArray_DescrFromType_(type);
  PyObject* array = numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descr, ndim, dims,
                                                  strides ? steps : nullptr, nullptr, 0, nullptr);
  if (!array) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}

void fill_view(py::handle object, View& view) {
  const auto* proxy = py::detail::array_proxy(object.ptr());
  view.data = proxy->data;
  view.writable = (proxy->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  view.ndim = proxy->nd;
  for (int i = 0; i < proxy->nd; ++i) {
    view.shape[i] = proxy->dimensions[i];
    view.strides[i] = proxy->strides[i];
  }
}

}  // namespace

void packed_strides(const View& like, int64_t unit, int64_t* strides) {
  int order[kMaxDims];
  std::iota(order, order + like.ndim, 0);
  for (int i = 1; i < like.ndim; ++i) {
    const int axis = order[i];
    int k = i;
    for (; k > 0 && std::abs(like.strides[order[k - 1]]) < std::abs(like.strides[axis]); --k) {
      order[k] = order[k - 1];
    }
    order[k] = axis;
  }
  int64_t step = unit;
  for (int k = like.ndim - 1; k >= 0; --k) {
    strides[order[k]] = step;
    step *= std::max<int64_t>(like.shape[order[k]], 1);
  }
}

bool is_exactly_ndarray(py::handle object) {
  return Py_TYPE(object.ptr()) == numpy().PyArray_Type_;
}

std::string type_name(py::handle object) {
  const py::handle type = py::type::handle_of(object);
  const std::string module = py::str(py::getattr(type, "__module__", py::str("")));
  const std::string name = py::str(type.attr("__qualname__"));
  return module.empty() || module == "builtins" ? name : module + "." + name;
}

bool may_change(const std::string& type) { return type.rfind("jax", 0) != 0; }

void Arguments::fail(const std::string& what) const {
  throw ValueError(std::string(function_) + ": " + what);
}

void Arguments::fail_type(const std::string& what) const {
  throw TypeError(std::string(function_) + ": " + what);
}

void Arguments::array(const char* name, py::handle object, View& view, const char* expected) {
  if (is_exactly_ndarray(object)) {
    numpy_array(name, object, view, expected);
  } else {
    other_array(name, object, view, expected);
  }
}

void Arguments::other_array(const char* name, py::handle object, View& view, const char* expected) {
  if (is_ndarray(object)) {
    if (is_masked(object)) {
      fail_type(std::string(name) + " is a masked array, whose mask would be ignored; " +
                "pass its data and where=~mask");
    }
    return numpy_array(name, object, view, expected);
  }
  if (!PyType_Check(object.ptr()) && py::hasattr(object, "__dlpack__")) {
    return dlpack_array(name, object, view, expected);
  }
  if (PyObject_CheckBuffer(object.ptr())) {
    PyObject* memory = PyMemoryView_FromObject(object.ptr());
    if (!memory) throw py::error_already_set();
    const auto held = py::reinterpret_steal<py::object>(memory);
    py::object array = py::module_::import("numpy").attr("asarray")(held);
    numpy_array(name, array, view, expected);
    held_.push_back(std::move(array));
    return;
  }
  if (py::hasattr(object, "__cuda_array_interface__")) refuse_gpu(name, object);
  fail_type(std::string(name) +
            " must be a NumPy array, or have DLPack or the buffer protocol; got " +
            type_name(object));
}

void Arguments::numpy_array(const char* name, py::handle object, View& view,
                            const char* expected) const {
  const auto* proxy = py::detail::array_proxy(object.ptr());
  const auto* dtype = py::detail::array_descriptor_proxy(proxy->descr);
  const bool native = dtype->byteorder == '=' || dtype->byteorder == '|';
  const std::optional<DType> type = type_of(dtype->type_num);
  if (!native || !type) refuse_dtype(name, object, native ? expected : "native byte order");
  check_ndim(name, proxy->nd);
  view.dtype = *type;
  fill_view(object, view);
}

void Arguments::refuse_dtype(const char* name, py::handle array, const char* expected) const {
  const py::handle dtype = py::detail::array_proxy(array.ptr())->descr;
  fail_type(std::string(name) + " has dtype " + std::string(py::str(dtype)) + ", expected " +
            expected);
}

void Arguments::refuse_gpu(const char* name, py::handle array) const {
  const std::string function = function_;
  const bool has_both = function != "normalize_image";
  fail_type(std::string(name) + " is a " + type_name(array) + " on a GPU, expected CPU memory" +
            (has_both ? "; normfast.cuda." + function + " takes arrays of a GPU" : ""));
}

void Arguments::refuse_ndim(const char* name, int ndim) const {
  fail(std::string(name) + " has " + std::to_string(ndim) + " dimensions, at most " +
       std::to_string(kMaxDims) + " are supported");
}

void Arguments::dlpack_array(const char* name, py::handle object, View& view,
                             const char* expected) {
  const std::string type = type_name(object);
  if (py::hasattr(object, "requires_grad") && py::bool_(object.attr("requires_grad"))) {
    fail_type(std::string(name) + " is a " + type +
              " that requires grad, through which no gradient would flow; pass its .detach()");
  }
  if (py::hasattr(object, "is_neg") && py::bool_(object.attr("is_neg")())) {
    fail_type(std::string(name) + " is a " + type +
              " that holds the negative of its memory; pass its .resolve_neg()");
  }
  py::object capsule;
  int device = dlpack::kCpu;
  try {
    if (py::hasattr(object, "__dlpack_device__")) {
      device = py::tuple(object.attr("__dlpack_device__")())[0].cast<int>();
    }
    if (device == dlpack::kCpu) {
      try {
        capsule = object.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 0));
      } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
        capsule = object.attr("__dlpack__")();  // from before versions
      }
    }
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    const std::string why = py::str(error.value());
    fail_type(std::string(name) + " is a " + type +
              " that does not show its memory: " + why.substr(0, why.find('\n')).substr(0, 200));
  }
  if (dlpack::is_gpu(device)) refuse_gpu(name, object);
  if (device != dlpack::kCpu) {
    fail_type(std::string(name) + " is a " + type + " on a device of DLPack's type " +
              std::to_string(device) + ", expected CPU memory");
  }
  // The capsule frees what it holds when it goes, as nobody consumes it.
  const dlpack::Tensor* const tensor = dlpack::tensor_in(capsule, view.writable);
  if (!tensor) fail_type(std::string(name) + " is a " + type + " of an unknown DLPack version");
  view.writable &= may_change(type);
  if (tensor->device.type != dlpack::kCpu) {
    fail_type(std::string(name) + " is a " + type + " that is not in CPU memory");
  }
  const std::optional<DType> element = dlpack::type_of(tensor->dtype);
  if (!element) {
    fail_type(std::string(name) + " is a " + type + " of another dtype, expected " + expected);
  }
  check_ndim(name, tensor->ndim);
  dlpack::fill_view(*tensor, *element, view);
  held_.push_back(std::move(capsule));
}

std::pair<py::handle, py::handle> Arguments::outputs(py::handle out, bool pair) const {
  if (!PyTuple_Check(out.ptr())) return {out, py::none()};
  if (!pair || PyTuple_GET_SIZE(out.ptr()) != 2) {
    fail_type("out is a tuple, expected an array, or with residual= a pair of them");
  }
  return {PyTuple_GET_ITEM(out.ptr(), 0), PyTuple_GET_ITEM(out.ptr(), 1)};
}

Activation Arguments::activation_named(py::handle object) const {
  if (PyUnicode_Check(object.ptr())) {
    const std::string name = py::cast<std::string>(object);
    if (name == "relu") return Activation::kRelu;
    if (name == "gelu") return Activation::kGelu;
    if (name == "gelu_tanh") return Activation::kGeluTanh;
    if (name == "silu") return Activation::kSilu;
    fail("activation is '" + name.substr(0, 40) +
         "', expected 'relu', 'gelu', 'gelu_tanh', 'silu' or None");
  }
  fail_type("activation must be a str or None, got " + type_name(object));
}

DType Arguments::floating_dtype(py::handle object) const {
  py::object wanted = py::reinterpret_borrow<py::object>(object);
  if (py::isinstance<py::str>(wanted) && wanted.equal(py::str("bfloat16"))) {
    number_of(DType::kBFloat16);  // says what is missing
    return DType::kBFloat16;
  }
  std::optional<DType> type;
  py::object found;
  try {
    const py::dtype dtype = py::dtype::from_args(wanted);
    const char order = dtype.byteorder();
    if (order == '=' || order == '|') type = type_of(dtype.num());
    found = dtype;
  } catch (py::error_already_set&) {
    fail_type("dtype must be a NumPy dtype, got " + type_name(object));
  }
  if (!type || !is_floating(*type)) {
    fail_type("dtype is " + std::string(py::str(found)) +
              ", expected float32, float64, float16 or bfloat16");
  }
  return *type;
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

double Arguments::converted_number(const char* name, py::handle object) const {
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

bool Arguments::converted_flag(const char* name, py::handle object) const {
  int64_t value;
  if (type_name(object) == "numpy.bool") return PyObject_IsTrue(object.ptr()) == 1;
  if (is_integer(name, object, value) && (value == 0 || value == 1)) return value == 1;
  fail_type(std::string(name) + " must be True or False, got " + type_name(object));
}

int Arguments::thread_count(py::handle object) const {
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
  if (PyTuple_Check(shape.ptr()) || PyList_Check(shape.ptr())) {
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(shape.ptr()); ++k) {
      const auto item =
          py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(shape.ptr(), k));
      if (n == kMaxDims) fail("normalized_shape has more dimensions than x");
      if (!is_integer("normalized_shape", item, sizes[n++])) {
        fail_type("normalized_shape must hold ints, got " + type_name(item));
      }
    }
  } else if (!is_integer("normalized_shape", shape, sizes[n++])) {
    fail_type("normalized_shape must be an int or a tuple of ints, got " + type_name(shape) +
              (is_ndarray(shape) ? "; did you mean weight=?" : ""));
  }
  if (n == 0) fail("normalized_shape is empty, expected at least one size");
  bool ends = n <= x.ndim;
  for (int i = 0; i < n && ends; ++i) ends = sizes[i] == x.shape[x.ndim - n + i];
  if (!ends) {
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

Axes all(const View& x) { return x.ndim == kMaxDims ? ~Axes{0} : axis(x.ndim) - 1; }

void need_axes(const Arguments& arguments, const View& x) {
  if (x.ndim == 0) arguments.fail("x has no dimensions, expected at least 1");
}

Axes layer_axes(const Arguments& arguments, py::handle shape, py::handle axis_, const View& x) {
  need_axes(arguments, x);
  if (shape.is_none()) {
    return axis_.is_none() ? axis(x.ndim - 1) : arguments.axes("axis", axis_, x.ndim, 0);
  }
  if (!axis_.is_none()) arguments.fail("both normalized_shape and axis are given, expected one");
  return arguments.trailing(shape, x);
}

Axes per_sample(int channel_axis) { return axis(channel_axis) | axis(channel_axis == 0 ? 1 : 0); }

Norm norm_of(const Arguments& arguments, py::handle p) {
  const double value = arguments.number("p", p);
  if (value == 1) return Norm::kL1;
  if (value == 2) return Norm::kL2;
  if (std::isinf(value) && value > 0) return Norm::kMax;
  arguments.fail("p is " + std::string(py::str(p)) + ", expected 1, 2 or inf");
}

DType wider(DType a, DType b) {
  if (a == b) return a;
  const bool wide = a == DType::kFloat64 || b == DType::kFloat64;
  return wide ? DType::kFloat64 : DType::kFloat32;
}

void translate_errors() {
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const normfast::TypeError& e) {
      py::set_error(PyExc_TypeError, e.what());
    } catch (const normfast::ValueError& e) {
      py::set_error(PyExc_ValueError, e.what());
    }
  });
}

Result::Result(Arguments& arguments, const char* name, py::handle out, const View& like, DType type,
               View& view) {
  if (!out.is_none()) {
    arguments.array(name, out, view);
    if (view.dtype != type) {
      arguments.fail_type(std::string(name) + " is " + dtype_name(view.dtype) + ", expected " +
                          dtype_name(type));
    }
    array_ = py::reinterpret_borrow<py::object>(out);
    return;
  }
  // The axes in x's order, packed.
  bool c_order = true;  // which NumPy makes faster
  int64_t bytes = size_of(type);
  for (int i = 0; i < like.ndim; ++i) {
    c_order &= i == 0 || std::abs(like.strides[i]) <= std::abs(like.strides[i - 1]);
    bytes *= std::max<int64_t>(like.shape[i], 1);
  }
  int64_t strides[kMaxDims];
  if (!c_order) packed_strides(like, size_of(type), strides);
  const KeptMemory kept(bytes);
  array_ = new_array(number_of(type), like.ndim, like.shape, c_order ? nullptr : strides);
  view.dtype = type;
  view.apart = true;
  fill_view(array_, view);
}

int statistics_shape(const View& x, Axes reduced, bool keepdims, int64_t* shape) {
  int n = 0;
  for (int i = 0; i < x.ndim; ++i) {
    if (!(reduced & axis(i))) {
      shape[n++] = x.shape[i];
    } else if (keepdims) {
      shape[n++] = 1;
    }
  }
  return n;
}

py::object new_statistics(const View& x, Axes reduced, bool keepdims) {
  int64_t shape[kMaxDims];
  const int n = statistics_shape(x, reduced, keepdims, shape);
  int64_t bytes = sizeof(double);
  for (int i = 0; i < n; ++i) bytes *= shape[i];
  const KeptMemory kept(bytes);
  return new_array(py::detail::npy_api::NPY_DOUBLE_, n, shape, nullptr);
}

double* float64_data(const py::object& array) {
  return static_cast<double*>(static_cast<void*>(py::detail::array_proxy(array.ptr())->data));
}

}  // namespace normfast::python
