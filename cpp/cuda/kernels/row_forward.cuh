// Rows that a block, a warp or part of a warp holds in registers: read once, reduced in two exact
// passes, applied.
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

template <class Real>
struct Pair {
  Real a, b;
};

template <class Real>
__device__ __forceinline__ Pair<Real> combined(bool largest, Pair<Real> p, Pair<Real> q) {
  if (largest) return {larger_magnitude(p.a, q.a), 0};
  return {p.a + q.a, p.b + q.b};
}

// Two sums over the threads of a row, or the largest of the first; every thread has the result.
// Threads exchange in pairs, so all of them add in the same tree.
template <class Real>
__device__ Pair<Real> across(int group, bool largest, Pair<Real> p) {
  for (int by = (group < 32 ? group : 32) / 2; by > 0; by /= 2) {
    const Pair<Real> q = {__shfl_xor_sync(~0u, p.a, by), __shfl_xor_sync(~0u, p.b, by)};
    p = combined(largest, p, q);
  }
  if (group <= 32) return p;
  __shared__ Pair<Real> warps[32];
  const int lane = static_cast<int>(threadIdx.x) % 32, count = group / 32;
  __syncthreads();  // what was exchanged before has been read
  if (lane == 0) warps[threadIdx.x / 32] = p;
  __syncthreads();
  p = lane < count ? warps[lane] : Pair<Real>{0, 0};
  for (int by = 16; by > 0; by /= 2) {
    const Pair<Real> q = {__shfl_xor_sync(~0u, p.a, by), __shfl_xor_sync(~0u, p.b, by)};
    p = combined(largest, p, q);
  }
  return p;
}

// A row's values that a thread holds: `kVectors` vectors, `group` vectors apart. Lanes from
// `first`.
template <int kVectors, int kWidth>
struct Held {
  float x[kVectors][kWidth];
  int group, first;
  int count;  // elements of the row; 0 where the thread has no row

  __device__ __forceinline__ int lane(int v) const { return first + v * group * kWidth; }
  __device__ __forceinline__ bool has(int v) const { return lane(v) < count; }

  // Sums of f(value) and of its square, or without squares of the magnitude.
  template <class Real, class F>
  __device__ __forceinline__ Pair<Real> sum(F f) const {
    Pair<Real> total = {0, 0};
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      Pair<Real> part = {0, 0};
#pragma unroll
      for (int i = 0; i < kWidth; ++i) part = f(part, static_cast<Real>(x[v][i]));
      if (has(v)) total = {total.a + part.a, total.b + part.b};
    }
    return total;
  }
};

// Moments of a row in float64. For rows that float32 does not do: sums that overflow, squares that
// underflow, a first mean that was too far off.
template <class Row>
__device__ Moments exact_moments(const Task& task, const Row& row) {
  const Reduction reduction = task.reduction;
  const double count = static_cast<double>(task.shape.run);
  double mean = 0;
  if (reduction == Reduction::kMoments) {
    const auto add = [](Pair<double> p, double x) { return Pair<double>{p.a + x, 0}; };
    mean = across<double>(row.group, false, row.template sum<double>(add)).a / count;
  }
  const bool magnitudes = reduction == Reduction::kMagnitudes;
  const auto add = [=](Pair<double> p, double x) {
    const double d = x - mean;
    return Pair<double>{p.a + (magnitudes ? fabs(d) : d * d), 0};
  };
  return {count, mean, 0, across<double>(row.group, false, row.template sum<double>(add)).a};
}

template <class T, int kWidth, int kVectors>
__global__ void __launch_bounds__(kWidth* kVectors == kValues ? 1024 : 512)
    row_forward(const __grid_constant__ Task task) {
  const Reduction reduction = task.reduction;
  const int64_t rows = task.shape.units, size = task.shape.run;
  const float count = static_cast<float>(size), eps = static_cast<float>(task.rule.eps);
  const int group = task.group, slot = static_cast<int>(threadIdx.x) / group;
  const int64_t together = static_cast<int>(blockDim.x) / group;

  for (int64_t first = blockIdx.x * together; first < rows; first += gridDim.x * together) {
    const int64_t number = first + slot, base = number * size;
    Held<kVectors, kWidth> row = {};
    row.group = group;
    row.first = static_cast<int>(threadIdx.x) % group * kWidth;
    row.count = number < rows ? static_cast<int>(size) : 0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (row.has(v)) load_x<T>(task, base + row.lane(v), row.x[v]);
    }
    if (task.sum.data) {
#pragma unroll
      for (int v = 0; v < kVectors; ++v) {
        if (row.has(v)) store(task.sum.data, task.sum.type, base + row.lane(v), row.x[v]);
      }
    }

    Sums<float> m = {count, 0, 0, 0};
    bool exact = true;
    if (reduction == Reduction::kMoments) {
      const auto add = [](Pair<float> p, float x) { return Pair<float>{p.a + x, 0}; };
      m.mean = across<float>(group, false, row.template sum<float>(add)).a / count;
      const float mean = m.mean;
      const auto deviate = [=](Pair<float> p, float x) {
        const float d = x - mean;
        return Pair<float>{p.a + d, fmaf(d, d, p.b)};
      };
      const Pair<float> d = across<float>(group, false, row.template sum<float>(deviate));
      m.mean_lo = d.a / count;
      m.m2 = fmaf(-d.a, m.mean_lo, d.b);
      exact = m.m2 >= 0.5f * d.b && m.m2 >= task.tiny * count && d.b - d.b == 0;
    } else if (reduction == Reduction::kMaximum) {
      Pair<float> most = {0, 0};
#pragma unroll
      for (int v = 0; v < kVectors; ++v) {
#pragma unroll
        for (int i = 0; i < kWidth; ++i) most.a = larger_magnitude(most.a, fabsf(row.x[v][i]));
      }
      m.m2 = across<float>(group, true, most).a;
    } else {
      const bool magnitudes = reduction == Reduction::kMagnitudes;
      const auto add = [=](Pair<float> p, float x) {
        return Pair<float>{magnitudes ? p.a + fabsf(x) : fmaf(x, x, p.a), 0};
      };
      m.m2 = across<float>(group, false, row.template sum<float>(add)).a;
      exact = m.m2 - m.m2 == 0 && (magnitudes || m.m2 >= task.tiny * count);
    }

    const float r = reciprocal(divisor(task.rule, m.m2, count, eps));
    Map map = {1, m.mean, r, -m.mean_lo * r};
    Moments moments = {m.count, m.mean, m.mean_lo, m.m2};
    double exact_r = r;
    // Rows of other groups in the warp take part in the exchange.
    if (__any_sync(~0u, !exact || r < 0x1p-100f || r > 0x1p100f)) {
      const Moments all = reduction == Reduction::kMaximum ? moments : exact_moments(task, row);
      const double all_r = reciprocal(divisor(task.rule, all.m2, all.count, task.rule.eps));
      if (!exact || r < 0x1p-100f || r > 0x1p100f) {
        moments = all;
        exact_r = all_r;
        map = make_map(all.mean, all.mean_lo, all_r);
      }
    }
    if (row.first == 0 && row.count > 0) {
      if (task.reports()) report(task, number, moments, exact_r);
    }
    if (!task.y.data) continue;

    const int64_t weight = task.weight.of_line(number), bias = task.bias.of_line(number);
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (!row.has(v)) continue;
      float y[kWidth];
#pragma unroll
      for (int i = 0; i < kWidth; ++i) y[i] = mapped(map, row.x[v][i]);
      float w[kWidth];
      if (task.weight.data) {
        look_up(task.weight, weight, row.lane(v), w);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) y[i] *= w[i];
      }
      if (task.bias.data) {
        look_up(task.bias, bias, row.lane(v), w);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) y[i] += w[i];
      }
      complete(task, base + row.lane(v), y);
    }
  }
}

}  // namespace normfast::cuda
