// The C ABI: each function turns its arguments into those of the C++ API, and exceptions into a
// status.
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "normfast/normfast.h"
#include "normfast/normfast.hpp"
#include "normfast/prepared.hpp"
#include "normfast/version.hpp"

struct normfast_prepared {
  normfast::Prepared call;
};

namespace {

namespace nf = normfast;

thread_local std::string last_error;

normfast_status failed(normfast_status status, const char* what) noexcept {
  try {
    last_error = what;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

template <class Body>
normfast_status guarded(const Body& body) noexcept {
  try {
    body();
    return NORMFAST_OK;
  } catch (const nf::ValueError& e) {
    return failed(NORMFAST_VALUE_ERROR, e.what());
  } catch (const nf::TypeError& e) {
    return failed(NORMFAST_TYPE_ERROR, e.what());
  } catch (const std::bad_alloc&) {
    return failed(NORMFAST_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return failed(NORMFAST_FAILURE, e.what());
  } catch (...) {
    return failed(NORMFAST_FAILURE, "unknown failure");
  }
}

// What the caller knows of a struct; the rest as it is by default.
template <class Options>
Options known(const Options* given, Options options) {
  if (!given) return options;
  std::size_t size;
  std::memcpy(&size, given, sizeof size);
  if (size < sizeof size || size > sizeof options) {
    throw nf::ValueError("struct_size is " + std::to_string(size) + ", expected at most " +
                         std::to_string(sizeof options) +
                         ": it was not set, or the library is older than normfast.h");
  }
  std::memcpy(&options, given, size);
  return options;
}

template <class Enum>
Enum member(const char* name, std::int32_t value, int count) {
  if (value < 0 || value >= count) {
    throw nf::ValueError(std::string(name) + " is " + std::to_string(value) + ", expected 0 to " +
                         std::to_string(count - 1));
  }
  return static_cast<Enum>(value);
}

nf::Activation activation(std::int32_t value) {
  return member<nf::Activation>("activation", value, nf::kActivations);
}

// `placed`: it has memory. What is prepared knows of some arrays only how they lie.
nf::View view(const normfast_view* given, bool placed = true) {
  nf::View v;
  if (!given) return v;
  if (given->ndim < 0 || given->ndim > nf::kMaxDims) {
    throw nf::ValueError("ndim is " + std::to_string(given->ndim) + ", expected 0 to " +
                         std::to_string(nf::kMaxDims));
  }
  v.data = given->data;
  v.dtype = member<nf::DType>("dtype", given->dtype, nf::kDTypes);
  v.ndim = given->ndim;
  std::int64_t step = nf::size_of(v.dtype);
  for (int i = v.ndim - 1; i >= 0; --i) {
    v.shape[i] = given->shape[i];
    if (v.shape[i] < 0) throw nf::ValueError("a shape is negative");
    v.strides[i] = given->strides ? given->strides[i] : step;
    step *= v.shape[i];
  }
  if (placed && !v.data && v.size() > 0) throw nf::ValueError("the data of a view is null");
  return v;
}

nf::View needed(const normfast_view* given, bool placed = true) {
  if (!given) throw nf::ValueError("a view that is needed is null");
  return view(given, placed);
}

int checked_axis(const nf::View& v, std::int32_t axis) {
  if (axis >= 0 && axis < v.ndim) return axis;
  throw nf::ValueError("the channel axis is " + std::to_string(axis) + ", expected one of " +
                       std::to_string(v.ndim));
}

// ---- options, field by field of the same name

template <class C>
void common(const C& c, nf::Common& options, bool placed) {
  options.out = view(c.out, placed);
  options.statistics = {c.mean, c.scale};
  options.num_threads = c.num_threads;
}
template <class C>
void selection(const C& c, nf::Selection& options) {
  options.where = view(c.where);
  options.sample_weight = view(c.sample_weight);
}

nf::MeanVar options_of(const normfast_mean_var_options* given, bool placed) {
  const auto c = known(given, normfast_mean_var_options_default());
  nf::MeanVar o;
  common(c, o, placed);
  selection(c, o);
  o.correction = c.correction;
  return o;
}

nf::LayerNorm options_of(const normfast_layer_norm_options* given, bool placed) {
  const auto c = known(given, normfast_layer_norm_options_default());
  nf::LayerNorm o;
  common(c, o, placed);
  selection(c, o);
  o.weight = view(c.weight);
  o.bias = view(c.bias);
  o.residual = view(c.residual, placed);
  o.sum = view(c.sum, placed);
  o.activation = activation(c.activation);
  o.eps = c.eps;
  return o;
}

nf::RmsNorm options_of(const normfast_rms_norm_options* given, bool placed) {
  const auto c = known(given, normfast_rms_norm_options_default());
  nf::RmsNorm o;
  common(c, o, placed);
  selection(c, o);
  o.weight = view(c.weight);
  o.residual = view(c.residual, placed);
  o.sum = view(c.sum, placed);
  o.weight_offset = c.weight_offset;
  o.activation = activation(c.activation);
  o.default_eps = c.eps < 0;
  o.eps = c.eps;
  return o;
}

nf::BatchNorm options_of(const normfast_batch_norm_options* given, bool placed) {
  const auto c = known(given, normfast_batch_norm_options_default());
  nf::BatchNorm o;
  common(c, o, placed);
  selection(c, o);
  o.running_mean = view(c.running_mean);
  o.running_var = view(c.running_var);
  o.num_batches_tracked = view(c.num_batches_tracked);
  o.weight = view(c.weight);
  o.bias = view(c.bias);
  o.add = view(c.add, placed);
  o.activation = activation(c.activation);
  o.training = c.training != 0;
  o.cumulative = c.cumulative != 0;
  o.momentum = c.momentum;
  o.eps = c.eps;
  o.running_var_correction = c.running_var_correction;
  return o;
}

nf::InstanceNorm options_of(const normfast_instance_norm_options* given, bool placed) {
  const auto c = known(given, normfast_instance_norm_options_default());
  nf::InstanceNorm o;
  common(c, o, placed);
  selection(c, o);
  o.running_mean = view(c.running_mean);
  o.running_var = view(c.running_var);
  o.weight = view(c.weight);
  o.bias = view(c.bias);
  o.add = view(c.add, placed);
  o.activation = activation(c.activation);
  o.use_input_stats = c.use_input_stats != 0;
  o.momentum = c.momentum;
  o.eps = c.eps;
  return o;
}

nf::GroupNorm options_of(const normfast_group_norm_options* given, bool placed) {
  const auto c = known(given, normfast_group_norm_options_default());
  nf::GroupNorm o;
  common(c, o, placed);
  selection(c, o);
  o.weight = view(c.weight);
  o.bias = view(c.bias);
  o.add = view(c.add, placed);
  o.activation = activation(c.activation);
  o.eps = c.eps;
  return o;
}

nf::Normalize options_of(const normfast_normalize_options* given, bool placed) {
  const auto c = known(given, normfast_normalize_options_default());
  nf::Normalize o;
  common(c, o, placed);
  o.where = view(c.where);
  o.norm = member<nf::Norm>("norm", c.norm, 3);
  o.eps = c.eps;
  return o;
}

nf::WeightNorm options_of(const normfast_weight_norm_options* given, bool placed) {
  nf::WeightNorm o;
  common(known(given, normfast_weight_norm_options_default()), o, placed);
  return o;
}

nf::Standardize options_of(const normfast_standardize_options* given, bool placed) {
  const auto c = known(given, normfast_standardize_options_default());
  nf::Standardize o;
  common(c, o, placed);
  selection(c, o);
  o.mean = view(c.given_mean);
  o.deviation = view(c.given_deviation);
  o.correction = c.correction;
  return o;
}

nf::NormalizeImage options_of(const normfast_normalize_image_options* given, const nf::View& image,
                              bool placed) {
  const auto c = known(given, normfast_normalize_image_options_default());
  nf::NormalizeImage o;
  common(c, o, placed);
  o.mean = needed(c.image_mean);
  o.deviation = needed(c.image_deviation);
  o.scale = c.image_scale;
  o.channel_axis = checked_axis(image, c.channel_axis);
  o.out_channel_axis = checked_axis(image, c.out_channel_axis);
  o.swap_rb = c.swap_rb != 0;
  return o;
}

// Puts what body() prepares into *to.
template <class Body>
normfast_status prepare_into(normfast_prepared** to, const Body& body) noexcept {
  return guarded([&] {
    if (!to) throw nf::ValueError("prepared is null");
    *to = nullptr;
    *to = new normfast_prepared{body()};
  });
}

// Of the operations whose axes are a set.
template <class Options>
normfast_status prepare_over(const normfast_view* x, uint32_t axes, const Options* options,
                             normfast_prepared** to) noexcept {
  return prepare_into(
      to, [&] { return nf::prepare(needed(x, false), axes, options_of(options, false)); });
}

nf::Arrays arrays_of(const normfast_arrays* given) {
  if (!given) throw nf::ValueError("arrays is null");
  const normfast_arrays c = known(given, normfast_arrays_of(nullptr, nullptr));
  nf::Arrays a(c.x, c.out);
  a.addend = c.addend;
  a.sum = c.sum;
  a.statistics = {c.mean, c.scale};
  return a;
}

const nf::Prepared& call_of(const normfast_prepared* prepared) {
  if (!prepared) throw nf::ValueError("prepared is null");
  return prepared->call;
}

}  // namespace

extern "C" {

int normfast_abi_version(void) { return NORMFAST_ABI_VERSION; }
const char* normfast_version(void) { return NORMFAST_VERSION; }
const char* normfast_last_error(void) { return last_error.c_str(); }

normfast_status normfast_mean_var(const normfast_view* x, uint32_t reduced,
                                  const normfast_mean_var_options* options) {
  return guarded([&] { nf::mean_var(needed(x), reduced, options_of(options, true)); });
}
normfast_status normfast_layer_norm(const normfast_view* x, uint32_t reduced,
                                    const normfast_layer_norm_options* options) {
  return guarded([&] { nf::layer_norm(needed(x), reduced, options_of(options, true)); });
}
normfast_status normfast_rms_norm(const normfast_view* x, uint32_t reduced,
                                  const normfast_rms_norm_options* options) {
  return guarded([&] { nf::rms_norm(needed(x), reduced, options_of(options, true)); });
}
normfast_status normfast_batch_norm(const normfast_view* x, uint32_t channels,
                                    const normfast_batch_norm_options* options) {
  return guarded([&] { nf::batch_norm(needed(x), channels, options_of(options, true)); });
}
normfast_status normfast_instance_norm(const normfast_view* x, int32_t channel_axis,
                                       const normfast_instance_norm_options* options) {
  return guarded([&] {
    const nf::View v = needed(x);
    nf::instance_norm(v, checked_axis(v, channel_axis), options_of(options, true));
  });
}
normfast_status normfast_group_norm(const normfast_view* x, int64_t num_groups,
                                    int32_t channel_axis,
                                    const normfast_group_norm_options* options) {
  return guarded([&] {
    const nf::View v = needed(x);
    nf::group_norm(v, num_groups, checked_axis(v, channel_axis), options_of(options, true));
  });
}
normfast_status normfast_normalize(const normfast_view* x, uint32_t reduced,
                                   const normfast_normalize_options* options) {
  return guarded([&] { nf::normalize(needed(x), reduced, options_of(options, true)); });
}
normfast_status normfast_weight_norm(const normfast_view* v, const normfast_view* g,
                                     uint32_t channels,
                                     const normfast_weight_norm_options* options) {
  return guarded(
      [&] { nf::weight_norm(needed(v), needed(g), channels, options_of(options, true)); });
}
normfast_status normfast_standardize(const normfast_view* x, uint32_t reduced,
                                     const normfast_standardize_options* options) {
  return guarded([&] { nf::standardize(needed(x), reduced, options_of(options, true)); });
}
normfast_status normfast_normalize_image(const normfast_view* image,
                                         const normfast_normalize_image_options* options) {
  return guarded([&] {
    const nf::View v = needed(image);
    nf::normalize_image(v, options_of(options, v, true));
  });
}

normfast_status normfast_prepare_mean_var(const normfast_view* x, uint32_t reduced,
                                          const normfast_mean_var_options* options,
                                          normfast_prepared** prepared) {
  return prepare_over(x, reduced, options, prepared);
}
normfast_status normfast_prepare_layer_norm(const normfast_view* x, uint32_t reduced,
                                            const normfast_layer_norm_options* options,
                                            normfast_prepared** prepared) {
  return prepare_over(x, reduced, options, prepared);
}
normfast_status normfast_prepare_rms_norm(const normfast_view* x, uint32_t reduced,
                                          const normfast_rms_norm_options* options,
                                          normfast_prepared** prepared) {
  return prepare_over(x, reduced, options, prepared);
}
normfast_status normfast_prepare_batch_norm(const normfast_view* x, uint32_t channels,
                                            const normfast_batch_norm_options* options,
                                            normfast_prepared** prepared) {
  return prepare_over(x, channels, options, prepared);
}
normfast_status normfast_prepare_instance_norm(const normfast_view* x, int32_t channel_axis,
                                               const normfast_instance_norm_options* options,
                                               normfast_prepared** prepared) {
  return prepare_into(prepared, [&] {
    const nf::View v = needed(x, false);
    return nf::prepare(v, checked_axis(v, channel_axis), options_of(options, false));
  });
}
normfast_status normfast_prepare_group_norm(const normfast_view* x, int64_t num_groups,
                                            int32_t channel_axis,
                                            const normfast_group_norm_options* options,
                                            normfast_prepared** prepared) {
  return prepare_into(prepared, [&] {
    const nf::View v = needed(x, false);
    return nf::prepare(v, num_groups, checked_axis(v, channel_axis), options_of(options, false));
  });
}
normfast_status normfast_prepare_normalize(const normfast_view* x, uint32_t reduced,
                                           const normfast_normalize_options* options,
                                           normfast_prepared** prepared) {
  return prepare_over(x, reduced, options, prepared);
}
normfast_status normfast_prepare_weight_norm(const normfast_view* v, const normfast_view* g,
                                             uint32_t channels,
                                             const normfast_weight_norm_options* options,
                                             normfast_prepared** prepared) {
  return prepare_into(prepared, [&] {
    return nf::prepare(needed(v, false), needed(g), channels, options_of(options, false));
  });
}
normfast_status normfast_prepare_standardize(const normfast_view* x, uint32_t reduced,
                                             const normfast_standardize_options* options,
                                             normfast_prepared** prepared) {
  return prepare_over(x, reduced, options, prepared);
}
normfast_status normfast_prepare_normalize_image(const normfast_view* image,
                                                 const normfast_normalize_image_options* options,
                                                 normfast_prepared** prepared) {
  return prepare_into(prepared, [&] {
    const nf::View v = needed(image, false);
    return nf::prepare(v, options_of(options, v, false));
  });
}

int64_t normfast_prepared_blocks(const normfast_prepared* prepared) {
  return prepared ? prepared->call.blocks() : 0;
}
normfast_status normfast_prepared_run(const normfast_prepared* prepared,
                                      const normfast_arrays* arrays) {
  return guarded([&] { call_of(prepared).run(arrays_of(arrays)); });
}
normfast_status normfast_prepared_run_blocks(const normfast_prepared* prepared,
                                             const normfast_arrays* arrays, int64_t first_block,
                                             int64_t last_block) {
  return guarded([&] { call_of(prepared).run(arrays_of(arrays), first_block, last_block); });
}
void normfast_prepared_free(normfast_prepared* prepared) { delete prepared; }

}  // extern "C"
