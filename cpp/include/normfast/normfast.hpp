// normfast: normalisation of strided arrays at the speed of memory. The public C++ API (C++17).
//
// Arrays are views: a pointer, an element type, a shape and strides in bytes, of memory the caller
// owns. Every operation validates all of its arguments, throws ValueError or TypeError before
// anything is written, and then fills `out` and the statistics it was given. `out` may be the very
// input. Results do not depend on threads, alignment, the rest of the batch, or the ISA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "normfast/version.hpp"

namespace normfast {

struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

enum class DType : std::uint8_t { kFloat32, kFloat64, kInt64 };

constexpr std::int64_t size_of(DType t) { return t == DType::kFloat32 ? 4 : 8; }

inline constexpr int kMaxDims = 32;

// An array of the caller's. One that was never filled in stands for an argument that is not given.
struct View {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  bool writable = true;
  int ndim = -1;
  std::int64_t shape[kMaxDims];
  std::int64_t strides[kMaxDims];  // bytes; may be negative or zero

  View() noexcept {}
  View(const View& other) noexcept { *this = other; }
  View& operator=(const View& other) noexcept {
    data = other.data;
    dtype = other.dtype;
    writable = other.writable;
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

struct MeanVar : Common {
  double correction = 0;
};

struct LayerNorm : Common {
  View weight, bias;  // of the normalised axes' shape, or x.ndim axes that broadcast
  double eps = 1e-5;
};

struct RmsNorm : Common {
  View weight;
  double eps = 0;
  bool default_eps = true;  // the machine epsilon of the computing type
};

struct BatchNorm : Common {
  View running_mean, running_var, weight, bias;
  View num_batches_tracked;  // 0-d int64
  bool training = false;
  bool cumulative = false;  // momentum = 1 / num_batches_tracked
  double momentum = 0.1;
  double eps = 1e-5;
  double running_var_correction = 1;
};

struct InstanceNorm : Common {
  View running_mean, running_var, weight, bias;
  bool use_input_stats = true;
  double momentum = 0.1;
  double eps = 1e-5;
};

struct GroupNorm : Common {
  View weight, bias;
  double eps = 1e-5;
};

enum class Norm { kL1, kL2, kMax };

struct Normalize : Common {
  Norm norm = Norm::kL2;
  double eps = 1e-12;
};

struct WeightNorm : Common {};

struct Standardize : Common {
  View mean, deviation;  // both or neither
  double correction = 0;
};

// `reduced` are the axes averaged over; `channels` the axes that are not.
void mean_var(const View& x, Axes reduced, const MeanVar& options);
void layer_norm(const View& x, Axes reduced, const LayerNorm& options);
void rms_norm(const View& x, Axes reduced, const RmsNorm& options);
void batch_norm(const View& x, Axes channels, const BatchNorm& options);
void instance_norm(const View& x, int channel_axis, const InstanceNorm& options);
void group_norm(const View& x, std::int64_t num_groups, int channel_axis, const GroupNorm& options);
void normalize(const View& x, Axes reduced, const Normalize& options);
void weight_norm(const View& v, const View& g, Axes channels, const WeightNorm& options);
void standardize(const View& x, Axes reduced, const Standardize& options);

}  // namespace normfast
