// From a statistic to the map that is applied, and what comes after the map.
#pragma once

#include "cuda/kernels/memory.cuh"
#include "plan/moments.hpp"

namespace normfast::cuda {

// Of `count` numbers, in float32: what kernels reduce to before it is kept as Moments.
template <class Real>
struct Sums {
  Real count, mean, mean_lo, m2;
};

// What x - mean is divided by. NaN stays NaN.
template <class Real>
__device__ __forceinline__ Real divisor(const Rule& rule, Real m2, Real count, Real eps) {
  if (rule.divisor == Divisor::kDeviation) {
    return sqrt(m2 / (count - static_cast<Real>(rule.correction)) + eps);
  }
  if (rule.divisor == Divisor::kRootMeanSquare) return sqrt(m2 / count + eps);
  const Real norm = rule.divisor == Divisor::kL2 ? sqrt(m2) : m2;
  return norm < eps ? eps : norm;
}

template <class Real>
__device__ __forceinline__ Real reciprocal(Real divisor) {
  return divisor == 0 ? Real(1) : Real(1) / divisor;
}

// Of x whose mean is a sum of two numbers, times r.
__device__ inline Map make_map(double mean, double mean_lo, double r) {
  float pre = 1;
  if ((r < 0x1p-100 || r > 0x1p100) && r - r == 0 && r != 0) {
    const int exponent = ilogb(r);
    pre = scalbnf(1.0f, exponent < -126 ? -126 : exponent > 127 ? 127 : exponent);
  }
  const double scale = r / pre, scaled = mean * pre;
  const float center = static_cast<float>(scaled);
  return {pre, center, static_cast<float>(scale),
          static_cast<float>(((center - scaled) - mean_lo * pre) * scale)};
}

// What the caller asked to know.
__device__ __forceinline__ void report(const Task& task, int64_t statistic, Moments m, double r) {
  const int64_t place = task.places.of(statistic);
  if (task.out_mean) task.out_mean[place] = m.mean + m.mean_lo;
  if (task.out_moments) task.out_moments[place] = m;
  if (!task.out_scale) return;
  double scale = r;
  if (task.rule.report == Report::kVariance) scale = m.m2 / (m.count - task.rule.correction);
  if (task.rule.report == Report::kDivisor) {
    scale = m.count == 0 ? 0 : divisor<double>(task.rule, m.m2, m.count, 0);
  }
  task.out_scale[place] = scale;
}

// Far on the negative side the product of x and what is nearly 0 is 0 also where x is -inf.
__device__ inline float activated(Activation activation, float x) {
  if (activation == Activation::kGelu) {
    // x * Phi(x); of the two tails the smaller is computed.
    const float z = fmaxf(x, -14.0f), tail = 0.5f * erfcf(fabsf(z) * 0.70710678118654752440f);
    const float y = z * (z < 0 ? tail : 1 - tail);
    return x != x ? x : y;
  }
  // 0.5 * (1 + tanh u) is the sigmoid of 2u; u = sqrt(2 / pi) * (x + 0.044715 x^3).
  float z = fmaxf(x, -88.0f), u = z;
  if (activation == Activation::kGeluTanh) {
    z = fmaxf(x, -10.0f);
    u = z * 1.59576912160573071176f * fmaf(z * z, 0.044715f, 1.0f);
  }
  return x != x ? x : z / (1 + expf(-u));
}

// The last steps of each element: something added, the activation.
template <int kWidth>
__device__ __forceinline__ void complete(const Task& task, int64_t index, float (&y)[kWidth]) {
  if (task.addend.data && !task.residual) {
    float add[kWidth];
    load(task.addend, index, task.whole, add);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) y[i] += add[i];
  }
  if (task.activation == Activation::kRelu) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) y[i] = y[i] < 0 ? 0 : y[i];
  } else if (task.activation != Activation::kNone) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) y[i] = activated(task.activation, y[i]);
  }
  store(task.y, index, task.whole, y);
}

// x, or with a residual their sum.
template <class T, int kWidth>
__device__ __forceinline__ void load_x(const Task& task, int64_t index, float (&x)[kWidth]) {
  load(reinterpret_cast<const T*>(task.x.data) + index, task.whole, x);
  if (task.residual) {
    float residual[kWidth];
    load(task.addend, index, task.whole, residual);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) x[i] += residual[i];
  }
}

// One element, by a map that may be any and parameters wherever they are.
template <class T>
__device__ __forceinline__ void apply_one(const Task& task, const Map& map, int64_t line,
                                          int64_t lane) {
  const int64_t index = line * task.shape.lanes() + lane;
  float x[1];
  load_x<T>(task, index, x);
  if (task.sum.data) store(task.sum, index, task.whole, x);
  float y[1] = {fmaf(fmaf(x[0], map.pre, -map.center), map.scale, map.shift)};
  if (task.weight.array.data) y[0] *= entry(task.weight, line, lane);
  if (task.bias.array.data) y[0] += entry(task.bias, line, lane);
  complete(task, index, y);
}

}  // namespace normfast::cuda
