// The extension module of the GPU: the operations of bindings/module.cpp on arrays in a GPU's
// memory, which the caller describes and allocates.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "arguments.hpp"
#include "cuda/cuda.hpp"
#include "dlpack.hpp"

namespace normfast::python {
namespace {

using Handle = py::handle;

constexpr DType kTypes[] = {DType::kFloat32,  DType::kFloat64, DType::kFloat16,
                            DType::kBFloat16, DType::kInt64,   DType::kUInt8};

constexpr const char* kExpected = "expected float32, float16 or bfloat16 (parameters: float64 too)";

std::optional<DType> type_named(const std::string& name) {
  for (const DType type : kTypes) {
    if (name == dtype_name(type)) return type;
  }
  return std::nullopt;
}

struct DeviceArray {
  py::object owner;
  View view;
};

void check_ndim(int ndim) {
  if (ndim > kMaxDims) {
    throw ValueError("an array of " + std::to_string(ndim) + " dimensions, at most " +
                     std::to_string(kMaxDims) + " are supported");
  }
}

DeviceArray make_array(py::object owner, std::uintptr_t pointer, const std::string& dtype,
                       const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                       bool writable) {
  DeviceArray array{std::move(owner), {}};
  View& view = array.view;
  const std::optional<DType> type = type_named(dtype);
  if (!type) {
    throw TypeError("an array of dtype " + dtype + ", " + kExpected);
  }
  if (shape.size() != strides.size()) throw ValueError("an array's shape and strides differ");
  check_ndim(static_cast<int>(shape.size()));
  view.data = reinterpret_cast<void*>(pointer);
  view.dtype = *type;
  view.writable = writable;
  view.ndim = static_cast<int>(shape.size());
  for (int i = 0; i < view.ndim; ++i) {
    view.shape[i] = shape[static_cast<std::size_t>(i)];
    view.strides[i] = strides[static_cast<std::size_t>(i)];
    if (view.shape[i] < 0) throw ValueError("an array's shape has a negative size");
  }
  return array;
}

// The device too. The capsule may go: its owner keeps the memory.
std::pair<DeviceArray, int> from_dlpack(py::object owner, Handle capsule) {
  bool writable;
  const dlpack::Tensor* const tensor = dlpack::tensor_in(capsule, writable);
  if (!tensor || !dlpack::is_gpu(tensor->device.type)) {
    throw TypeError("an array whose DLPack capsule is of an unknown version or no GPU's");
  }
  const std::optional<DType> type = dlpack::type_of(tensor->dtype);
  if (!type || std::find(std::begin(kTypes), std::end(kTypes), *type) == std::end(kTypes)) {
    throw TypeError("an array of another dtype, " + std::string(kExpected));
  }
  check_ndim(tensor->ndim);
  DeviceArray array{std::move(owner), {}};
  dlpack::fill_view(*tensor, *type, array.view);
  array.view.writable = writable && may_change(type_name(array.owner));
  return {std::move(array), tensor->device.id};
}

int device_of(std::uintptr_t pointer) {
  return cuda::device_of(reinterpret_cast<const void*>(pointer));
}

void wait(int device, std::uintptr_t stream, std::uintptr_t other) {
  cuda::wait(device, reinterpret_cast<void*>(stream), reinterpret_cast<void*>(other));
}

py::tuple sizes(const int64_t* values, int n) {
  py::tuple all(n);
  for (int i = 0; i < n; ++i) all[static_cast<std::size_t>(i)] = values[i];
  return all;
}

struct DeviceLaunch {
  int device;
  std::uintptr_t stream;
  py::object empty;
};

// The arguments and results of one call.
class Call {
 public:
  Call(const char* function, const DeviceLaunch& launch) : arguments(function), launch_(launch) {}

  Arguments arguments;

  View array(const char* name, Handle object) const {
    if (!py::isinstance<DeviceArray>(object)) {
      arguments.fail_type(std::string(name) + " must be an array on a GPU, got " +
                          type_name(object));
    }
    return object.cast<const DeviceArray&>().view;
  }
  View optional_array(const char* name, Handle object) const {
    return object.is_none() ? View() : array(name, object);
  }

  DType dtype(Handle object, DType otherwise) const {
    if (object.is_none()) return otherwise;
    const std::string name = py::str(object);
    const std::optional<DType> type = type_named(name);
    if (!type || !is_floating(*type)) {
      arguments.fail_type("dtype is " + name + ", expected float32, float64, float16 or bfloat16");
    }
    return *type;
  }

  // What the caller gave, or a new array in the order of `like`.
  void result(const char* name, Handle out, const View& like, DType type, View& view) {
    if (out.is_none()) {
      int64_t strides[kMaxDims];
      packed_strides(like, size_of(type), strides);
      view = make(like.shape, strides, like.ndim, type);
      view.apart = true;
      return;
    }
    view = array(name, out);
    if (view.dtype != type) {
      arguments.fail_type(std::string(name) + " is " + dtype_name(view.dtype) + ", expected " +
                          dtype_name(type));
    }
    results_.append(out.attr("owner"));
  }

  void results(Handle out, Handle type, const View& x, const View& residual, View& y, View& sum) {
    const auto [first, second] = arguments.outputs(out, residual.given());
    result("out", first, x, dtype(type, x.dtype), y);
    if (!residual.given()) return;
    result("sum", second, x, wider(x.dtype, residual.dtype), sum);
  }

  // Statistics of x's axes, the reduced ones of size 1 or left out.
  void statistics(Handle wanted, const View& x, Axes reduced, bool has_mean, Statistics& to) {
    if (!arguments.flag("return_stats", wanted)) return;
    if (has_mean) to.mean = statistic(x, reduced, true);
    to.scale = statistic(x, reduced, true);
  }
  double* statistic(const View& x, Axes reduced, bool keepdims) {
    int64_t shape[kMaxDims], strides[kMaxDims], step = size_of(DType::kFloat64);
    const int n = statistics_shape(x, reduced, keepdims, shape);
    for (int i = n; i-- > 0;) {
      strides[i] = step;
      step *= std::max<int64_t>(shape[i], 1);
    }
    return static_cast<double*>(make(shape, strides, n, DType::kFloat64).data);
  }

  cuda::Launch launch() {
    return {launch_.device, reinterpret_cast<void*>(launch_.stream), [this](int64_t bytes) {
              const int64_t one = 1;
              return new_array(&bytes, &one, 1, DType::kUInt8).view.data;
            }};
  }

  py::object take() {
    if (py::len(results_) == 1) return results_[0];
    return py::tuple(std::move(results_));
  }

 private:
  DeviceArray new_array(const int64_t* shape, const int64_t* strides, int n, DType type) {
    const py::object made =
        launch_.empty(sizes(shape, n), sizes(strides, n), py::str(dtype_name(type)));
    if (!py::isinstance<DeviceArray>(made)) {
      arguments.fail_type("empty() returned " + type_name(made) + ", expected an Array");
    }
    held_.append(made);
    return made.cast<DeviceArray>();
  }
  View make(const int64_t* shape, const int64_t* strides, int n, DType type) {
    DeviceArray made = new_array(shape, strides, n, type);
    results_.append(made.owner);
    return made.view;
  }

  const DeviceLaunch& launch_;
  py::list results_, held_;
};

py::object mean_var(const DeviceLaunch& launch, Handle x_, Handle axis_, Handle correction,
                    Handle keepdims) {
  Call call("mean_var", launch);
  const View x = call.array("x", x_);
  MeanVar o;
  const Axes reduced = axis_.is_none() ? all(x) : call.arguments.axes("axis", axis_, x.ndim, 0);
  o.correction = call.arguments.number("correction", correction);
  const bool keep = call.arguments.flag("keepdims", keepdims);
  o.statistics.mean = call.statistic(x, reduced, keep);
  o.statistics.scale = call.statistic(x, reduced, keep);
  cuda::mean_var(x, reduced, o, call.launch());
  return call.take();
}

py::object layer_norm(const DeviceLaunch& launch, Handle x_, Handle normalized_shape, Handle weight,
                      Handle bias, Handle eps, Handle axis_, Handle residual, Handle activation,
                      Handle dtype, Handle out, Handle return_stats) {
  Call call("layer_norm", launch);
  const View x = call.array("x", x_);
  const Axes reduced = layer_axes(call.arguments, normalized_shape, axis_, x);
  LayerNorm o;
  o.weight = call.optional_array("weight", weight);
  o.bias = call.optional_array("bias", bias);
  o.eps = call.arguments.number("eps", eps);
  o.residual = call.optional_array("residual", residual);
  o.activation = call.arguments.activation(activation);
  call.results(out, dtype, x, o.residual, o.out, o.sum);
  call.statistics(return_stats, x, reduced, true, o.statistics);
  cuda::layer_norm(x, reduced, o, call.launch());
  return call.take();
}

py::object rms_norm(const DeviceLaunch& launch, Handle x_, Handle normalized_shape, Handle weight,
                    Handle eps, Handle axis_, Handle weight_offset, Handle residual,
                    Handle activation, Handle dtype, Handle out, Handle return_stats) {
  Call call("rms_norm", launch);
  const View x = call.array("x", x_);
  const Axes reduced = layer_axes(call.arguments, normalized_shape, axis_, x);
  RmsNorm o;
  o.weight = call.optional_array("weight", weight);
  o.default_eps = eps.is_none();
  if (!o.default_eps) o.eps = call.arguments.number("eps", eps);
  o.weight_offset = call.arguments.number("weight_offset", weight_offset);
  o.residual = call.optional_array("residual", residual);
  o.activation = call.arguments.activation(activation);
  call.results(out, dtype, x, o.residual, o.out, o.sum);
  call.statistics(return_stats, x, reduced, false, o.statistics);
  cuda::rms_norm(x, reduced, o, call.launch());
  return call.take();
}

// What batch and instance norm share.
template <class Options>
void channels(Call& call, Handle running_mean, Handle running_var, Handle weight, Handle bias,
              Handle momentum, Handle eps, Handle add, Handle activation, Options& o) {
  o.running_mean = call.optional_array("running_mean", running_mean);
  o.running_var = call.optional_array("running_var", running_var);
  o.weight = call.optional_array("weight", weight);
  o.bias = call.optional_array("bias", bias);
  if (!momentum.is_none()) o.momentum = call.arguments.number("momentum", momentum);
  o.eps = call.arguments.number("eps", eps);
  o.add = call.optional_array("add", add);
  o.activation = call.arguments.activation(activation);
}

py::object batch_norm(const DeviceLaunch& launch, Handle x_, Handle running_mean,
                      Handle running_var, Handle weight, Handle bias, Handle training,
                      Handle momentum, Handle eps, Handle channel_axis,
                      Handle running_var_correction, Handle num_batches_tracked, Handle add,
                      Handle activation, Handle dtype, Handle out, Handle return_stats) {
  Call call("batch_norm", launch);
  const View x = call.array("x", x_);
  need_axes(call.arguments, x);
  const Axes kept = call.arguments.axes("channel_axis", channel_axis, x.ndim, 0);
  BatchNorm o;
  channels(call, running_mean, running_var, weight, bias, momentum, eps, add, activation, o);
  o.num_batches_tracked = call.optional_array("num_batches_tracked", num_batches_tracked);
  o.training = call.arguments.flag("training", training);
  o.cumulative = momentum.is_none();
  o.running_var_correction =
      call.arguments.number("running_var_correction", running_var_correction);
  call.result("out", out, x, call.dtype(dtype, x.dtype), o.out);
  call.statistics(return_stats, x, ~kept, true, o.statistics);
  cuda::batch_norm(x, kept, o, call.launch());
  return call.take();
}

py::object instance_norm(const DeviceLaunch& launch, Handle x_, Handle running_mean,
                         Handle running_var, Handle weight, Handle bias, Handle use_input_stats,
                         Handle momentum, Handle eps, Handle channel_axis, Handle add,
                         Handle activation, Handle dtype, Handle out, Handle return_stats) {
  Call call("instance_norm", launch);
  const View x = call.array("x", x_);
  need_axes(call.arguments, x);
  const int channel = call.arguments.one_axis("channel_axis", channel_axis, x.ndim);
  InstanceNorm o;
  channels(call, running_mean, running_var, weight, bias, momentum, eps, add, activation, o);
  o.use_input_stats = call.arguments.flag("use_input_stats", use_input_stats);
  const Axes kept = o.use_input_stats ? per_sample(channel) : axis(channel);
  call.result("out", out, x, call.dtype(dtype, x.dtype), o.out);
  call.statistics(return_stats, x, ~kept, true, o.statistics);
  cuda::instance_norm(x, channel, o, call.launch());
  return call.take();
}

py::object group_norm(const DeviceLaunch& launch, Handle x_, Handle num_groups, Handle weight,
                      Handle bias, Handle eps, Handle channel_axis, Handle add, Handle activation,
                      Handle dtype, Handle out, Handle return_stats) {
  Call call("group_norm", launch);
  const View x = call.array("x", x_);
  need_axes(call.arguments, x);
  const int channel = call.arguments.one_axis("channel_axis", channel_axis, x.ndim);
  const int64_t groups = call.arguments.integer("num_groups", num_groups);
  GroupNorm o;
  o.weight = call.optional_array("weight", weight);
  o.bias = call.optional_array("bias", bias);
  o.eps = call.arguments.number("eps", eps);
  o.add = call.optional_array("add", add);
  o.activation = call.arguments.activation(activation);
  View grouped = x;  // the shape of the statistics: a group where a channel was
  grouped.shape[channel] = std::max<int64_t>(groups, 0);
  call.result("out", out, x, call.dtype(dtype, x.dtype), o.out);
  call.statistics(return_stats, grouped, ~per_sample(channel), true, o.statistics);
  cuda::group_norm(x, groups, channel, o, call.launch());
  return call.take();
}

py::object normalize(const DeviceLaunch& launch, Handle x_, Handle p, Handle axis_, Handle eps,
                     Handle dtype, Handle out, Handle return_stats) {
  Call call("normalize", launch);
  const View x = call.array("x", x_);
  need_axes(call.arguments, x);
  const Axes reduced = call.arguments.axes("axis", axis_, x.ndim, all(x));
  Normalize o;
  o.norm = norm_of(call.arguments, p);
  o.eps = call.arguments.number("eps", eps);
  call.result("out", out, x, call.dtype(dtype, x.dtype), o.out);
  call.statistics(return_stats, x, reduced, false, o.statistics);
  cuda::normalize(x, reduced, o, call.launch());
  return call.take();
}

py::object weight_norm(const DeviceLaunch& launch, Handle v_, Handle g_, Handle channel_axis,
                       Handle dtype, Handle out, Handle return_stats) {
  Call call("weight_norm", launch);
  const View v = call.array("v", v_);
  if (v.ndim == 0) call.arguments.fail("v has no dimensions, expected at least 1");
  const View g = call.array("g", g_);
  const Axes kept =
      channel_axis.is_none() ? 0 : call.arguments.axes("channel_axis", channel_axis, v.ndim, 0);
  WeightNorm o;
  call.result("out", out, v, call.dtype(dtype, v.dtype), o.out);
  call.statistics(return_stats, v, ~kept, false, o.statistics);
  cuda::weight_norm(v, g, kept, o, call.launch());
  return call.take();
}

py::object standardize(const DeviceLaunch& launch, Handle x_, Handle axis_, Handle mean, Handle std,
                       Handle correction, Handle dtype, Handle out, Handle return_stats) {
  Call call("standardize", launch);
  const View x = call.array("x", x_);
  need_axes(call.arguments, x);
  const Axes reduced = call.arguments.axes("axis", axis_, x.ndim, all(x));
  Standardize o;
  o.mean = call.optional_array("mean", mean);
  o.deviation = call.optional_array("std", std);
  o.correction = call.arguments.number("correction", correction);
  call.result("out", out, x, call.dtype(dtype, x.dtype), o.out);
  call.statistics(return_stats, x, reduced, true, o.statistics);
  cuda::standardize(x, reduced, o, call.launch());
  return call.take();
}

py::dict info() {
  using namespace py::literals;
  const cuda::DeviceInfo info = cuda::device_info();
  py::list devices;
  for (const cuda::Device& d : info.devices) {
    devices.append(
        py::dict("name"_a = d.name, "architecture"_a = d.architecture, "memory"_a = d.memory));
  }
  const py::object driver = info.driver.empty() ? py::none() : py::object(py::str(info.driver));
  return py::dict("architectures"_a = info.architectures, "runtime"_a = info.runtime,
                  "driver"_a = driver, "devices"_a = devices, "why"_a = info.why,
                  "emulated"_a = info.emulated);
}

}  // namespace
}  // namespace normfast::python

namespace py = pybind11;

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  namespace nf = normfast::python;
  nf::translate_errors();
  m.attr("__version__") = NORMFAST_VERSION;
  m.def("info", nf::info);

  const auto shape = [](const nf::DeviceArray& a) { return nf::sizes(a.view.shape, a.view.ndim); };
  const auto strides = [](const nf::DeviceArray& a) {
    return nf::sizes(a.view.strides, a.view.ndim);
  };
  // Of the ordinary type, as the stubs say.
  const py::metaclass plain(reinterpret_cast<PyObject*>(&PyType_Type));
  py::class_<nf::DeviceArray>(m, "Array", py::is_final(), plain)
      .def(py::init(&nf::make_array), py::arg("owner"), py::arg("pointer"), py::arg("dtype"),
           py::arg("shape"), py::arg("strides"), py::arg("writable") = true)
      .def_readonly("owner", &nf::DeviceArray::owner)
      .def_property_readonly(
          "pointer",
          [](const nf::DeviceArray& a) { return reinterpret_cast<std::uintptr_t>(a.view.data); })
      .def_property_readonly(
          "dtype", [](const nf::DeviceArray& a) { return normfast::dtype_name(a.view.dtype); })
      .def_property_readonly("shape", shape)
      .def_property_readonly("strides", strides)
      .def_property_readonly("writable", [](const nf::DeviceArray& a) { return a.view.writable; });
  m.def("from_dlpack", nf::from_dlpack, py::arg("owner"), py::arg("capsule"));
  m.def("device_of", nf::device_of, py::arg("pointer"));
  m.def("wait", nf::wait, py::arg("device"), py::arg("stream"), py::arg("other"));
  py::class_<nf::DeviceLaunch>(m, "Launch", py::is_final(), plain)
      .def(py::init<int, std::uintptr_t, py::object>(), py::arg("device"), py::arg("stream"),
           py::arg("empty"));

  using py::arg;
  m.def("mean_var", nf::mean_var, arg("launch"), arg("x"), arg("axis"), arg("correction"),
        arg("keepdims"));
  m.def("layer_norm", nf::layer_norm, arg("launch"), arg("x"), arg("normalized_shape"),
        arg("weight"), arg("bias"), arg("eps"), arg("axis"), arg("residual"), arg("activation"),
        arg("dtype"), arg("out"), arg("return_stats"));
  m.def("rms_norm", nf::rms_norm, arg("launch"), arg("x"), arg("normalized_shape"), arg("weight"),
        arg("eps"), arg("axis"), arg("weight_offset"), arg("residual"), arg("activation"),
        arg("dtype"), arg("out"), arg("return_stats"));
  m.def("batch_norm", nf::batch_norm, arg("launch"), arg("x"), arg("running_mean"),
        arg("running_var"), arg("weight"), arg("bias"), arg("training"), arg("momentum"),
        arg("eps"), arg("channel_axis"), arg("running_var_correction"), arg("num_batches_tracked"),
        arg("add"), arg("activation"), arg("dtype"), arg("out"), arg("return_stats"));
  m.def("instance_norm", nf::instance_norm, arg("launch"), arg("x"), arg("running_mean"),
        arg("running_var"), arg("weight"), arg("bias"), arg("use_input_stats"), arg("momentum"),
        arg("eps"), arg("channel_axis"), arg("add"), arg("activation"), arg("dtype"), arg("out"),
        arg("return_stats"));
  m.def("group_norm", nf::group_norm, arg("launch"), arg("x"), arg("num_groups"), arg("weight"),
        arg("bias"), arg("eps"), arg("channel_axis"), arg("add"), arg("activation"), arg("dtype"),
        arg("out"), arg("return_stats"));
  m.def("normalize", nf::normalize, arg("launch"), arg("x"), arg("p"), arg("axis"), arg("eps"),
        arg("dtype"), arg("out"), arg("return_stats"));
  m.def("weight_norm", nf::weight_norm, arg("launch"), arg("v"), arg("g"), arg("channel_axis"),
        arg("dtype"), arg("out"), arg("return_stats"));
  m.def("standardize", nf::standardize, arg("launch"), arg("x"), arg("axis"), arg("mean"),
        arg("std"), arg("correction"), arg("dtype"), arg("out"), arg("return_stats"));
}
