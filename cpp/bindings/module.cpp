// The extension module: one function an operation, every argument positional, in the order of
// python/normfast/functional.py.
#include <cmath>

#include "arguments.hpp"
#include "core_info.hpp"

namespace normfast::python {
namespace {

Axes all(const View& x) { return x.ndim == kMaxDims ? ~Axes{0} : axis(x.ndim) - 1; }

// The statistics a caller asked for, as arrays, and the tuple they are returned in.
class Requested {
 public:
  Requested(const Arguments& arguments, py::handle wanted, const View& x, Axes reduced,
            bool has_mean, Statistics& statistics) {
    if (!arguments.flag("return_stats", wanted)) return;
    if (has_mean) {
      mean_ = new_statistics(x, reduced, true);
      statistics.mean = float64_data(mean_);
    }
    scale_ = new_statistics(x, reduced, true);
    statistics.scale = float64_data(scale_);
  }
  py::object with(py::object y) {
    if (!scale_) return y;
    if (!mean_) return py::make_tuple(std::move(y), std::move(scale_));
    return py::make_tuple(std::move(y), std::move(mean_), std::move(scale_));
  }

 private:
  py::object mean_, scale_;
};

void need_axes(const Arguments& arguments, const View& x) {
  if (x.ndim == 0) arguments.fail("x has no dimensions, expected at least 1");
}

py::object mean_var(py::handle x_, py::handle axis_, py::handle correction, py::handle keepdims,
                    py::handle num_threads) {
  const Arguments arguments("mean_var");
  View x;
  arguments.array("x", x_, x);
  MeanVar o;
  Axes reduced = all(x);
  if (!axis_.is_none()) reduced = arguments.axes("axis", axis_, x.ndim, 0);
  o.correction = arguments.number("correction", correction);
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

// The axes of layer_norm and rms_norm: normalized_shape or axis, or the last.
Axes layer_axes(const Arguments& arguments, py::handle shape, py::handle axis_, const View& x) {
  need_axes(arguments, x);
  if (shape.is_none()) {
    return axis_.is_none() ? axis(x.ndim - 1) : arguments.axes("axis", axis_, x.ndim, 0);
  }
  if (!axis_.is_none()) arguments.fail("both normalized_shape and axis are given, expected one");
  return arguments.trailing(shape, x);
}

py::object layer_norm(py::handle x_, py::handle normalized_shape, py::handle weight,
                      py::handle bias, py::handle eps, py::handle axis_, py::handle out,
                      py::handle return_stats, py::handle num_threads) {
  const Arguments arguments("layer_norm");
  View x;
  arguments.array("x", x_, x);
  const Axes reduced = layer_axes(arguments, normalized_shape, axis_, x);
  LayerNorm o;
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  o.eps = arguments.number("eps", eps);
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, x, reduced, true, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::layer_norm(x, reduced, o); });
  return requested.with(y.take());
}

py::object rms_norm(py::handle x_, py::handle normalized_shape, py::handle weight, py::handle eps,
                    py::handle axis_, py::handle out, py::handle return_stats,
                    py::handle num_threads) {
  const Arguments arguments("rms_norm");
  View x;
  arguments.array("x", x_, x);
  const Axes reduced = layer_axes(arguments, normalized_shape, axis_, x);
  RmsNorm o;
  arguments.optional_array("weight", weight, o.weight);
  o.default_eps = eps.is_none();
  if (!o.default_eps) o.eps = arguments.number("eps", eps);
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, x, reduced, false, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::rms_norm(x, reduced, o); });
  return requested.with(y.take());
}

py::object batch_norm(py::handle x_, py::handle running_mean, py::handle running_var,
                      py::handle weight, py::handle bias, py::handle training, py::handle momentum,
                      py::handle eps, py::handle channel_axis, py::handle running_var_correction,
                      py::handle num_batches_tracked, py::handle out, py::handle return_stats,
                      py::handle num_threads) {
  const Arguments arguments("batch_norm");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes channels = arguments.axes("channel_axis", channel_axis, x.ndim, 0);
  BatchNorm o;
  arguments.optional_array("running_mean", running_mean, o.running_mean);
  arguments.optional_array("running_var", running_var, o.running_var);
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  arguments.counter("num_batches_tracked", num_batches_tracked, o.num_batches_tracked);
  o.training = arguments.flag("training", training);
  o.cumulative = momentum.is_none();
  if (!o.cumulative) o.momentum = arguments.number("momentum", momentum);
  o.eps = arguments.number("eps", eps);
  o.running_var_correction = arguments.number("running_var_correction", running_var_correction);
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, x, ~channels, true, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::batch_norm(x, channels, o); });
  return requested.with(y.take());
}

py::object instance_norm(py::handle x_, py::handle running_mean, py::handle running_var,
                         py::handle weight, py::handle bias, py::handle use_input_stats,
                         py::handle momentum, py::handle eps, py::handle channel_axis,
                         py::handle out, py::handle return_stats, py::handle num_threads) {
  const Arguments arguments("instance_norm");
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
  o.num_threads = arguments.threads(num_threads);
  const Axes kept = axis(channel) | (o.use_input_stats ? axis(channel == 0 ? 1 : 0) : 0);
  Requested requested(arguments, return_stats, x, ~kept, true, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::instance_norm(x, channel, o); });
  return requested.with(y.take());
}

py::object group_norm(py::handle x_, py::handle num_groups, py::handle weight, py::handle bias,
                      py::handle eps, py::handle channel_axis, py::handle out,
                      py::handle return_stats, py::handle num_threads) {
  const Arguments arguments("group_norm");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const int channel = arguments.one_axis("channel_axis", channel_axis, x.ndim);
  const int64_t groups = arguments.integer("num_groups", num_groups);
  GroupNorm o;
  arguments.optional_array("weight", weight, o.weight);
  arguments.optional_array("bias", bias, o.bias);
  o.eps = arguments.number("eps", eps);
  o.num_threads = arguments.threads(num_threads);
  View grouped = x;  // the shape of the statistics: a group where a channel was
  grouped.shape[channel] = std::max<int64_t>(groups, 0);
  const Axes kept = axis(channel) | axis(channel == 0 ? 1 : 0);
  Requested requested(arguments, return_stats, grouped, ~kept, true, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::group_norm(x, groups, channel, o); });
  return requested.with(y.take());
}

Norm norm_of(const Arguments& arguments, py::handle p) {
  const double value = arguments.number("p", p);
  if (value == 1) return Norm::kL1;
  if (value == 2) return Norm::kL2;
  if (std::isinf(value) && value > 0) return Norm::kMax;
  arguments.fail("p is " + std::string(py::str(p)) + ", expected 1, 2 or inf");
}

py::object normalize(py::handle x_, py::handle p, py::handle axis_, py::handle eps, py::handle out,
                     py::handle return_stats, py::handle num_threads) {
  const Arguments arguments("normalize");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes reduced = arguments.axes("axis", axis_, x.ndim, all(x));
  Normalize o;
  o.norm = norm_of(arguments, p);
  o.eps = arguments.number("eps", eps);
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, x, reduced, false, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::normalize(x, reduced, o); });
  return requested.with(y.take());
}

py::object weight_norm(py::handle v_, py::handle g_, py::handle channel_axis, py::handle out,
                       py::handle return_stats, py::handle num_threads) {
  const Arguments arguments("weight_norm");
  View v, g;
  arguments.array("v", v_, v);
  if (v.ndim == 0) arguments.fail("v has no dimensions, expected at least 1");
  arguments.array("g", g_, g);
  const Axes channels =
      channel_axis.is_none() ? 0 : arguments.axes("channel_axis", channel_axis, v.ndim, 0);
  WeightNorm o;
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, v, ~channels, false, o.statistics);
  Result y(arguments, out, v_, v, o.out);
  compute(v, [&] { normfast::weight_norm(v, g, channels, o); });
  return requested.with(y.take());
}

py::object standardize(py::handle x_, py::handle axis_, py::handle mean, py::handle std,
                       py::handle correction, py::handle out, py::handle return_stats,
                       py::handle num_threads) {
  const Arguments arguments("standardize");
  View x;
  arguments.array("x", x_, x);
  need_axes(arguments, x);
  const Axes reduced = arguments.axes("axis", axis_, x.ndim, all(x));
  Standardize o;
  arguments.optional_array("mean", mean, o.mean);
  arguments.optional_array("std", std, o.deviation);
  o.correction = arguments.number("correction", correction);
  o.num_threads = arguments.threads(num_threads);
  Requested requested(arguments, return_stats, x, reduced, true, o.statistics);
  Result y(arguments, out, x_, x, o.out);
  compute(x, [&] { normfast::standardize(x, reduced, o); });
  return requested.with(y.take());
}

}  // namespace
}  // namespace normfast::python

namespace py = pybind11;

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  namespace np = normfast::python;
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const normfast::TypeError& e) {
      py::set_error(PyExc_TypeError, e.what());
    } catch (const normfast::ValueError& e) {
      py::set_error(PyExc_ValueError, e.what());
    }
  });
  m.attr("__version__") = NORMFAST_VERSION;
  np::define_info(m);
  m.def("mean_var", np::mean_var);
  m.def("layer_norm", np::layer_norm);
  m.def("rms_norm", np::rms_norm);
  m.def("batch_norm", np::batch_norm);
  m.def("instance_norm", np::instance_norm);
  m.def("group_norm", np::group_norm);
  m.def("normalize", np::normalize);
  m.def("weight_norm", np::weight_norm);
  m.def("standardize", np::standardize);
}
