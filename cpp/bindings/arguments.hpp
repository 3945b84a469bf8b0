// From Python objects to the core's arguments. What does not fit is a TypeError or ValueError that
// names the function, the argument and what was expected, in a line or two.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "normfast/normfast.hpp"

namespace normfast::python {

namespace py = pybind11;

// The arguments of one call of one function.
class Arguments {
 public:
  explicit Arguments(const char* function) : function_(function) {}

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_type(const std::string& what) const;

  // An array: NumPy's, or what DLPack or the buffer protocol shows of CPU memory. The view points
  // into it for as long as these arguments live.
  void array(const char* name, py::handle object, View& view, const char* expected = kNumbers);
  void optional_array(const char* name, py::handle object, View& view,
                      const char* expected = kNumbers) {
    if (!object.is_none()) array(name, object, view, expected);
  }

  Activation activation(py::handle object) const {
    return object.is_none() ? Activation::kNone : activation_named(object);
  }
  // The dtype a result is asked to have; None: the default.
  DType dtype(py::handle object, DType otherwise) const {
    return object.is_none() ? otherwise : floating_dtype(object);
  }
  double number(const char* name, py::handle object) const {
    return PyFloat_CheckExact(object.ptr()) ? PyFloat_AS_DOUBLE(object.ptr())
                                            : converted_number(name, object);
  }
  bool flag(const char* name, py::handle object) const {
    if (PyBool_Check(object.ptr())) return object.ptr() == Py_True;
    return converted_flag(name, object);
  }
  // None: 0, the library's choice.
  int threads(py::handle object) const { return object.is_none() ? 0 : thread_count(object); }
  int64_t integer(const char* name, py::handle object) const;

  // An int, a tuple of ints, or, where None stands for a set of axes, None.
  Axes axes(const char* name, py::handle object, int ndim, Axes none) const;
  int one_axis(const char* name, py::handle object, int ndim) const;
  // Where y goes, and with a residual the sum: then `out` may be the pair of both.
  std::pair<py::handle, py::handle> outputs(py::handle out, bool pair) const;
  // The trailing axes, by their sizes.
  Axes trailing(py::handle shape, const View& x) const;

 private:
  static constexpr const char* kNumbers =
      "float32, float64, float16, bfloat16, or an integer where those are taken";
  Activation activation_named(py::handle object) const;
  DType floating_dtype(py::handle object) const;
  double converted_number(const char* name, py::handle object) const;
  bool converted_flag(const char* name, py::handle object) const;
  int thread_count(py::handle object) const;
  void other_array(const char* name, py::handle object, View& view, const char* expected);
  void numpy_array(const char* name, py::handle object, View& view, const char* expected) const;
  [[noreturn]] void refuse_dtype(const char* name, py::handle array, const char* expected) const;
  void check_ndim(const char* name, int ndim) const {
    if (ndim > kMaxDims) refuse_ndim(name, ndim);
  }
  [[noreturn]] void refuse_gpu(const char* name, py::handle array) const;
  [[noreturn]] void refuse_ndim(const char* name, int ndim) const;
  void dlpack_array(const char* name, py::handle object, View& view, const char* expected);
  bool is_integer(const char* name, py::handle object, int64_t& value) const;
  int checked_axis(const char* name, int64_t value, int ndim) const;

  const char* function_;
  std::vector<py::object> held_;
};

Axes all(const View& x);
void need_axes(const Arguments& arguments, const View& x);
// The axes of layer_norm and rms_norm: normalized_shape or axis, or the last.
Axes layer_axes(const Arguments& arguments, py::handle shape, py::handle axis_, const View& x);
// The axes of statistics of each sample and channel; the batch axis is the first other one.
Axes per_sample(int channel_axis);
Norm norm_of(const Arguments& arguments, py::handle p);
// The dtype of the sum of two floats.
DType wider(DType a, DType b);

// The core's errors as Python's, in the module that calls this.
void translate_errors();

// Whether it is NumPy's own array, of no type derived from it.
bool is_exactly_ndarray(py::handle object);

// The type of an object, short: "list", "torch.Tensor".
std::string type_name(py::handle object);

// Whether arrays of a type may be written, for all that their protocol says: jax counts on its
// arrays never to change, but does not say so.
bool may_change(const std::string& type);

// Strides of an array without gaps whose axes lie in the order of another's.
void packed_strides(const View& like, int64_t unit, int64_t* strides);

// The shape of x's statistics, the reduced axes of size 1 or left out; says how many are left.
int statistics_shape(const View& x, Axes reduced, bool keepdims, int64_t* shape);

// Where results go: the caller's `out`, or a new array in the memory order of x.
class Result {
 public:
  Result() = default;
  Result(Arguments& arguments, const char* name, py::handle out, const View& like, DType type,
         View& view);
  py::object take() { return std::move(array_); }

 private:
  py::object array_;
};

// A new float64 array of x's axes, the reduced ones of size 1 or left out.
py::object new_statistics(const View& x, Axes reduced, bool keepdims);
double* float64_data(const py::object& array);

// Calls body, without the GIL where there is work enough to pay for letting it go.
template <class Body>
void compute(const View& x, Body body) {
  constexpr int64_t kWorthwhile = 16 * 1024;
  if (x.size() < kWorthwhile) {
    body();
  } else {
    py::gil_scoped_release released;
    body();
  }
}

}  // namespace normfast::python
