// normfast: normalisation of strided arrays at the speed of memory. The public C++ API (C++17).
//
// Arrays are views: a pointer, an element type, a shape and strides in bytes, of memory the caller
// owns. x, parameters and results are float32, float64, float16 or bfloat16, each independently;
// mean_var, standardize and normalize_image also take integers. Sixteen-bit floats are widened,
// computed in float32 and rounded once.
// Every operation validates all of its arguments, throws ValueError or TypeError before
// anything is written, and then fills `out` and the statistics it was given. `out` may be the very
// input. Results do not depend on threads, alignment, the rest of the batch, or the ISA.
// A call that is made many times is prepared once: prepared.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "normfast/export.h"
#include "normfast/types.hpp"
#include "normfast/version.hpp"

namespace normfast {

struct NORMFAST_API ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct NORMFAST_API TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Bytes of an element.
inline constexpr std::int64_t kSizes[kDTypes] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 8, 1};
constexpr std::int64_t size_of(DType t) { return kSizes[static_cast<int>(t)]; }
NORMFAST_API const char* dtype_name(DType t);
constexpr bool is_floating(DType t) { return t <= DType::kBFloat16; }

inline constexpr int kMaxDims = 32;

// An array of the caller's. One that was never filled in stands for an argument that is not given.
struct View {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  bool writable = true;
  bool apart = false;  // the caller knows that no other argument shares its memory
  int ndim = -1;
  std::int64_t shape[kMaxDims];
  std::int64_t strides[kMaxDims];  // bytes; may be negative or zero

  View() noexcept {}
  View(const View& other) noexcept { *this = other; }
  View& operator=(const View& other) noexcept {
    data = other.data;
    dtype = other.dtype;
    writable = other.writable;
    apart = other.apart;
    ndim = other.ndim;
    for (int i = 0; i < ndim; ++i) {
      shape[i] = other.shape[i];
      strides[i] = other.strides[i];
    }
    return *this;
  }

  bool given() const noexcept { return ndim >= 0; }
  std::int64_t size() const noexcept {
    std::int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

// The element type of a C++ type. Of the sixteen-bit floats there is none: set View::dtype.
template <class T>
constexpr DType dtype_of() {
  constexpr bool kIs[] = {std::is_same_v<T, float>,
                          std::is_same_v<T, double>,
                          false,
                          false,
                          std::is_same_v<T, std::uint8_t>,
                          std::is_same_v<T, std::int8_t>,
                          std::is_same_v<T, std::uint16_t>,
                          std::is_same_v<T, std::int16_t>,
                          std::is_same_v<T, std::int32_t>,
                          std::is_same_v<T, std::int64_t>,
                          std::is_same_v<T, bool>};
  int i = 0;
  while (!kIs[i]) ++i;  // past the end: no such element type
  return static_cast<DType>(i);
}

// An array in C order: the last axis is contiguous.
template <class T>
View view(T* data, std::initializer_list<std::int64_t> shape) {
  constexpr DType kType = dtype_of<std::remove_const_t<T>>();
  View v;
  v.data = const_cast<std::remove_const_t<T>*>(data);
  v.dtype = kType;
  v.writable = !std::is_const_v<T>;
  v.ndim = static_cast<int>(shape.size());
  std::int64_t step = sizeof(T);
  for (int i = v.ndim - 1; i >= 0; --i) {
    v.shape[i] = shape.begin()[i];
    v.strides[i] = step;
    step *= v.shape[i];
  }
  return v;
}

// A set of axes, as a bit each.
using Axes = std::uint32_t;

constexpr Axes axis(int i) { return Axes{1} << i; }

// Statistics an operation fills where a pointer is given: one entry for each mean that is formed,
// in the order of the axes that are not averaged over.
struct Statistics {
  double* mean = nullptr;
  double* scale = nullptr;  // mean_var: variance; standardize: deviation; normalize, weight_norm:
                            // norm; else rstd
};

struct Common {
  View out;
  Statistics statistics;
  int num_threads = 0;  // 0: OMP_NUM_THREADS, else what affinity and cgroup quota allow
};

// What counts in the statistics; every element is normalised. Both broadcast to x. Where nothing is
// selected, the mean is 0 and nothing is divided by.
struct Selection {
  View where;          // bool: true counts
  View sample_weight;  // what each element counts by: finite, not negative
};

struct MeanVar : Common, Selection {
  double correction = 0;
};

struct LayerNorm : Common, Selection {
  View weight, bias;  // of the normalised axes' shape, or x.ndim axes that broadcast
  View residual;      // x + residual is normalised, and written
  View sum;           // to here
  Activation activation = Activation::kNone;
  double eps = 1e-5;
};

struct RmsNorm : Common, Selection {
  View weight, residual, sum;
  double weight_offset = 0;  // added to weight in the computing type
  Activation activation = Activation::kNone;
  double eps = 0;
  bool default_eps = true;  // the machine epsilon of the computing type
};

struct BatchNorm : Common, Selection {
  View running_mean, running_var, weight, bias;
  View num_batches_tracked;  // 0-d int64
  View add;                  // added after the affine, before the activation
  Activation activation = Activation::kNone;
  bool training = false;
  bool cumulative = false;  // momentum = 1 / num_batches_tracked
  double momentum = 0.1;
  double eps = 1e-5;
  double running_var_correction = 1;
};

struct InstanceNorm : Common, Selection {
  View running_mean, running_var, weight, bias, add;
  Activation activation = Activation::kNone;
  bool use_input_stats = true;
  double momentum = 0.1;
  double eps = 1e-5;
};

struct GroupNorm : Common, Selection {
  View weight, bias, add;
  Activation activation = Activation::kNone;
  double eps = 1e-5;
};

enum class Norm { kL1, kL2, kMax };

struct Normalize : Common {
  View where;
  Norm norm = Norm::kL2;
  double eps = 1e-12;
};

struct WeightNorm : Common {};

struct Standardize : Common, Selection {
  View mean, deviation;  // both or neither
  double correction = 0;
};

struct NormalizeImage : Common {
  View mean, deviation;  // one value, or one a channel of the output
  int channel_axis = 0;  // of x; out has it at
  int out_channel_axis = 0;
  double scale = 0;  // 0: 1 / 255 for integers, 1 for floats
  bool swap_rb = false;
};

// `reduced` are the axes averaged over; `channels` the axes that are not.
NORMFAST_API void mean_var(const View& x, Axes reduced, const MeanVar& options);
NORMFAST_API void layer_norm(const View& x, Axes reduced, const LayerNorm& options);
NORMFAST_API void rms_norm(const View& x, Axes reduced, const RmsNorm& options);
NORMFAST_API void batch_norm(const View& x, Axes channels, const BatchNorm& options);
NORMFAST_API void instance_norm(const View& x, int channel_axis, const InstanceNorm& options);
NORMFAST_API void group_norm(const View& x, std::int64_t num_groups, int channel_axis,
                             const GroupNorm& options);
NORMFAST_API void normalize(const View& x, Axes reduced, const Normalize& options);
NORMFAST_API void weight_norm(const View& v, const View& g, Axes channels,
                              const WeightNorm& options);
NORMFAST_API void standardize(const View& x, Axes reduced, const Standardize& options);
NORMFAST_API void normalize_image(const View& image, const NormalizeImage& options);

}  // namespace normfast
