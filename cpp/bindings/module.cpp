// The extension module: one function an operation, its arguments in the order of the definition in
// python/normfast/functional.py.
#include "arguments.hpp"
#include "buffers.hpp"
#include "core_info.hpp"
#include "operation.hpp"

namespace normfast::python {
namespace {

using Handle = py::handle;

// What one call returns: y, then the sum with its residual, then the statistics asked for.
class Results {
 public:
  Results(Arguments& arguments, const View& x) : arguments_(arguments), x_(x) {}

  void statistics(Handle wanted, Axes reduced, bool has_mean, Statistics& statistics,
                  const View* like = nullptr) {
    if (!arguments_.flag("return_stats", wanted)) return;
    if (has_mean) {
      mean_ = new_statistics(like ? *like : x_, reduced, true);
      statistics.mean = float64_data(mean_);
    }
    scale_ = new_statistics(like ? *like : x_, reduced, true);
    statistics.scale = float64_data(scale_);
  }

  // Integers become the float they are computed in.
  DType result_type(Handle dtype) const {
    DType type = x_.dtype;
    if (!is_floating(type)) type = type == DType::kInt32 ? DType::kFloat64 : DType::kFloat32;
    return arguments_.dtype(dtype, type);
  }

  void output(Handle out, Handle dtype, View& view) {
    y_ = Result(arguments_, "out", out, x_, result_type(dtype), view);
  }

  void outputs(Handle out, Handle dtype, const View& residual, View& y, View& sum) {
    const auto [first, second] = arguments_.outputs(out, residual.given());
    output(first, dtype, y);
    if (!residual.given()) return;
    sum_ = Result(arguments_, "sum", second, x_, wider(x_.dtype, residual.dtype), sum);
    has_sum_ = true;
  }

  py::object take() {
    py::object y = y_.take();
    if (!has_sum_ && !scale_) return y;
    py::list all;
    all.append(std::move(y));
    if (has_sum_) all.append(sum_.take());
    if (mean_) all.append(std::move(mean_));
    if (scale_) all.append(std::move(scale_));
    return py::tuple(std::move(all));
  }

 private:
  Arguments& arguments_;
  const View& x_;
  Result y_, sum_;
  bool has_sum_ = false;
  py::object mean_, scale_;
};

void select(Arguments& arguments, Handle where, Handle sample_weight, Selection& selection) {
  arguments.optional_array("where", where, selection.where, "bool");
  arguments.optional_array("sample_weight", sample_weight, selection.sample_weight);
}

py::object mean_var(Handle x_, Handle axis_, Handle correction, Handle keepdims, Handle where,
                    Handle sample_weight, Handle num_threads) {
  Arguments arguments("mean_var");
  View x;
  arguments.array("x", x_, x);
  MeanVar o;
  Axes reduced = all(x);
  if (!axis_.is_none()) reduced = arguments.axes("axis", axis_, x.ndim, 0);
  o.correction = arguments.number("correction", correction);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  py::object mean = new_statistics(x, reduced, arguments.flag("keepdims", keepdims));
  py::object var = new_statistics(x, reduced, arguments.flag("keepdims", keepdims));
  o.statistics = {float64_data(mean), float64_data(var)};
  compute(x, [&] { normfast::mean_var(x, reduced, o); });
  if (py::detail::array_proxy(mean.ptr())->nd == 0) {  // scalars, as NumPy gives
    const py::tuple whole(0);
    return py::make_tuple(py::object(mean[whole]), py::object(var[whole]));
  }
  return py::make_tuple(std::move(mean), std::move(var));
}

py::object layer_norm(Handle x_, Handle normalized_shape, Handle weight, Handle bias, Handle eps,
                      Handle axis_, Handle residual, Handle activation, Handle where,
                      Handle sample_weight, Handle dtype, Handle out, Handle return_stats,
                      Handle num_threads) {
  Arguments arguments("layer_norm");
  View x;
  arguments.array("x", x_, x);
  const Axes reduced = layer_axes(arguments, normalized_shape, axis_, x);
  LayerNorm o;
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  o.eps = arguments.number("eps", eps);
  arguments.optional_array("residual", residual, o.residual);
  o.activation = arguments.activation(activation);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, x);
  results.statistics(return_stats, reduced, true, o.statistics);
  results.outputs(out, dtype, o.residual, o.out, o.sum);
  compute(x, [&] { normfast::layer_norm(x, reduced, o); });
  return results.take();
}

py::object rms_norm(Handle x_, Handle normalized_shape, Handle weight, Handle eps, Handle axis_,
                    Handle weight_offset, Handle residual, Handle activation, Handle where,
                    Handle sample_weight, Handle dtype, Handle out, Handle return_stats,
                    Handle num_threads) {
  Arguments arguments("rms_norm");
  View x;
  arguments.array("x", x_, x);
  const Axes reduced = layer_axes(arguments, normalized_shape, axis_, x);
  RmsNorm o;
  arguments.optional_array("weight", weight, o.weight);
  o.default_eps = eps.is_none();
  if (!o.default_eps) o.eps = arguments.number("eps", eps);
  o.weight_offset = arguments.number("weight_offset", weight_offset);
  arguments.optional_array("residual", residual, o.residual);
  o.activation = arguments.activation(activation);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, x);
  results.statistics(return_stats, reduced, false, o.statistics);
  results.outputs(out, dtype, o.residual, o.out, o.sum);
  compute(x, [&] { normfast::rms_norm(x, reduced, o); });
  return results.take();
}

py::object batch_norm(Handle x_, Handle running_mean, Handle running_var, Handle weight,
                      Handle bias, Handle training, Handle momentum, Handle eps,
                      Handle channel_axis, Handle running_var_correction,
                      Handle num_batches_tracked, Handle add, Handle activation, Handle where,
                      Handle sample_weight, Handle dtype, Handle out, Handle return_stats,
                      Handle num_threads) {
  Arguments arguments("batch_norm");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes channels = arguments.axes("channel_axis", channel_axis, x.ndim, 0);
  BatchNorm o;
  arguments.optional_array("running_mean", running_mean, o.running_mean);
  arguments.optional_array("running_var", running_var, o.running_var);
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  arguments.optional_array("num_batches_tracked", num_batches_tracked, o.num_batches_tracked);
  o.training = arguments.flag("training", training);
  o.cumulative = momentum.is_none();
  if (!o.cumulative) o.momentum = arguments.number("momentum", momentum);
  o.eps = arguments.number("eps", eps);
  o.running_var_correction = arguments.number("running_var_correction", running_var_correction);
  arguments.optional_array("add", add, o.add);
  o.activation = arguments.activation(activation);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, x);
  results.statistics(return_stats, ~channels, true, o.statistics);
  results.output(out, dtype, o.out);
  compute(x, [&] { normfast::batch_norm(x, channels, o); });
  return results.take();
}

py::object instance_norm(Handle x_, Handle running_mean, Handle running_var, Handle weight,
                         Handle bias, Handle use_input_stats, Handle momentum, Handle eps,
                         Handle channel_axis, Handle add, Handle activation, Handle where,
                         Handle sample_weight, Handle dtype, Handle out, Handle return_stats,
                         Handle num_threads) {
  Arguments arguments("instance_norm");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const int channel = arguments.one_axis("channel_axis", channel_axis, x.ndim);
  InstanceNorm o;
  arguments.optional_array("running_mean", running_mean, o.running_mean);
  arguments.optional_array("running_var", running_var, o.running_var);
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  o.use_input_stats = arguments.flag("use_input_stats", use_input_stats);
  o.momentum = arguments.number("momentum", momentum);
  o.eps = arguments.number("eps", eps);
  arguments.optional_array("add", add, o.add);
  o.activation = arguments.activation(activation);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  const Axes kept = o.use_input_stats ? per_sample(channel) : axis(channel);
  Results results(arguments, x);
  results.statistics(return_stats, ~kept, true, o.statistics);
  results.output(out, dtype, o.out);
  compute(x, [&] { normfast::instance_norm(x, channel, o); });
  return results.take();
}

py::object group_norm(Handle x_, Handle num_groups, Handle weight, Handle bias, Handle eps,
                      Handle channel_axis, Handle add, Handle activation, Handle where,
                      Handle sample_weight, Handle dtype, Handle out, Handle return_stats,
                      Handle num_threads) {
  Arguments arguments("group_norm");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const int channel = arguments.one_axis("channel_axis", channel_axis, x.ndim);
  const int64_t groups = arguments.integer("num_groups", num_groups);
  GroupNorm o;
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  o.eps = arguments.number("eps", eps);
  arguments.optional_array("add", add, o.add);
  o.activation = arguments.activation(activation);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  View grouped = x;  // the shape of the statistics: a group where a channel was
  grouped.shape[channel] = std::max<int64_t>(groups, 0);
  Results results(arguments, x);
  results.statistics(return_stats, ~per_sample(channel), true, o.statistics, &grouped);
  results.output(out, dtype, o.out);
  compute(x, [&] { normfast::group_norm(x, groups, channel, o); });
  return results.take();
}

py::object normalize(Handle x_, Handle p, Handle axis_, Handle eps, Handle where, Handle dtype,
                     Handle out, Handle return_stats, Handle num_threads) {
  Arguments arguments("normalize");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes reduced = arguments.axes("axis", axis_, x.ndim, all(x));
  Normalize o;
  o.norm = norm_of(arguments, p);
  o.eps = arguments.number("eps", eps);
  arguments.optional_array("where", where, o.where, "bool");
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, x);
  results.statistics(return_stats, reduced, false, o.statistics);
  results.output(out, dtype, o.out);
  compute(x, [&] { normfast::normalize(x, reduced, o); });
  return results.take();
}

py::object weight_norm(Handle v_, Handle g_, Handle channel_axis, Handle dtype, Handle out,
                       Handle return_stats, Handle num_threads) {
  Arguments arguments("weight_norm");
  View v, g;
  arguments.array("v", v_, v);
  if (v.ndim == 0) arguments.fail("v has no dimensions, expected at least 1");
  arguments.array("g", g_, g);
  const Axes channels =
      channel_axis.is_none() ? 0 : arguments.axes("channel_axis", channel_axis, v.ndim, 0);
  WeightNorm o;
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, v);
  results.statistics(return_stats, ~channels, false, o.statistics);
  results.output(out, dtype, o.out);
  compute(v, [&] { normfast::weight_norm(v, g, channels, o); });
  return results.take();
}

py::object standardize(Handle x_, Handle axis_, Handle mean, Handle std, Handle correction,
                       Handle where, Handle sample_weight, Handle dtype, Handle out,
                       Handle return_stats, Handle num_threads) {
  Arguments arguments("standardize");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes reduced = arguments.axes("axis", axis_, x.ndim, all(x));
  Standardize o;
  arguments.optional_array("mean", mean, o.mean);
  arguments.optional_array("std", std, o.deviation);
  o.correction = arguments.number("correction", correction);
  select(arguments, where, sample_weight, o);
  o.num_threads = arguments.threads(num_threads);
  Results results(arguments, x);
  results.statistics(return_stats, reduced, true, o.statistics);
  results.output(out, dtype, o.out);
  compute(x, [&] { normfast::standardize(x, reduced, o); });
  return results.take();
}

// What most give: a number, or a list or tuple of them. Null: something else.
py::object plain_numbers(Handle object) {
  const auto number = [](PyObject* p, double& value) {
    if (!PyFloat_CheckExact(p) && !PyLong_CheckExact(p)) return false;
    value = PyFloat_AsDouble(p);
    const bool large = value == -1 && PyErr_Occurred();
    if (large) PyErr_Clear();
    return !large;
  };
  if (is_exactly_ndarray(object) && py::isinstance<py::array_t<double>>(object)) {
    return py::reinterpret_borrow<py::object>(object);
  }
  double value;
  if (number(object.ptr(), value)) return py::array_t<double>(1, &value);
  if (!PyTuple_CheckExact(object.ptr()) && !PyList_CheckExact(object.ptr())) return {};
  std::vector<double> values;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object.ptr()); ++i) {
    if (!number(PySequence_Fast_GET_ITEM(object.ptr(), i), value)) return {};
    values.push_back(value);
  }
  return py::array_t<double>(std::ssize(values), values.data());
}

// A number, a sequence or an array of numbers, as float64.
py::object numbers(Arguments& arguments, const char* name, Handle object) {
  if (py::object array = plain_numbers(object)) return array;
  const py::module_ numpy = py::module_::import("numpy");
  View unused;  // says what masked arrays are refused for
  if (py::isinstance(object, numpy.attr("ma").attr("MaskedArray"))) {
    arguments.array(name, object, unused);
  }
  try {
    const py::object array = numpy.attr("asarray")(object);
    const std::string kind = py::str(array.attr("dtype").attr("kind"));
    const std::string dtype = py::str(array.attr("dtype"));
    if (kind == "f" || kind == "i" || kind == "u" || dtype == "bfloat16") {
      return array.attr("astype")("float64", py::arg("copy") = false);
    }
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
  }
  arguments.fail_type(std::string(name) + " must be a number or numbers, got " + type_name(object));
}

py::object normalize_image(Handle image_, Handle mean_, Handle std_, Handle scale,
                           Handle channel_axis, Handle out_channel_axis, Handle dtype,
                           Handle swap_rb, Handle out, Handle num_threads) {
  Arguments arguments("normalize_image");
  View image;
  arguments.array("image", image_, image);
  need_axes(arguments, image);
  NormalizeImage o;
  const py::object mean = numbers(arguments, "mean", mean_);
  const py::object deviation = numbers(arguments, "std", std_);
  arguments.array("mean", mean, o.mean);
  arguments.array("std", deviation, o.deviation);
  o.channel_axis = arguments.one_axis("channel_axis", channel_axis, image.ndim);
  o.out_channel_axis = arguments.one_axis("out_channel_axis", out_channel_axis, image.ndim);
  o.swap_rb = arguments.flag("swap_rb", swap_rb);
  if (!scale.is_none()) {
    o.scale = arguments.number("scale", scale);
    if (!(o.scale != 0) || !std::isfinite(o.scale)) {
      arguments.fail("scale is " + std::string(py::str(scale)) +
                     ", expected a finite number that is not 0");
    }
  }
  o.num_threads = arguments.threads(num_threads);
  // The image with its channels moved, in C order.
  View like = image;
  int n = 0;
  for (int i = 0; i < image.ndim; ++i) {
    if (i == o.channel_axis) continue;
    if (n == o.out_channel_axis) ++n;
    like.shape[n++] = image.shape[i];
  }
  like.shape[o.out_channel_axis] = image.shape[o.channel_axis];
  int64_t step = 1;
  for (int i = like.ndim - 1; i >= 0; --i) {
    like.strides[i] = step;
    step *= std::max<int64_t>(like.shape[i], 1);
  }
  Result y(arguments, "out", out, like, arguments.dtype(dtype, DType::kFloat32), o.out);
  compute(image, [&] { normfast::normalize_image(image, o); });
  return y.take();
}

py::object keep_buffers_of(Handle limit) {
  const Arguments arguments("keep_buffers");
  const int64_t bytes = arguments.integer("limit", limit);
  if (bytes < 0) arguments.fail("limit is " + std::to_string(bytes) + ", expected bytes from 0");
  return py::int_(keep_buffers(bytes));
}

constexpr Implementation kImplementations[] = {
    implementation<mean_var>("mean_var"),
    implementation<layer_norm>("layer_norm"),
    implementation<rms_norm>("rms_norm"),
    implementation<batch_norm>("batch_norm"),
    implementation<instance_norm>("instance_norm"),
    implementation<group_norm>("group_norm"),
    implementation<normalize>("normalize"),
    implementation<weight_norm>("weight_norm"),
    implementation<standardize>("standardize"),
    implementation<normalize_image>("normalize_image"),
    {},
};

}  // namespace
}  // namespace normfast::python

namespace py = pybind11;

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  normfast::python::translate_errors();
  m.attr("__version__") = NORMFAST_VERSION;
  normfast::python::define_info(m);
  m.def("keep_buffers", normfast::python::keep_buffers_of);
  normfast::python::define_operation(m, normfast::python::kImplementations);
}
