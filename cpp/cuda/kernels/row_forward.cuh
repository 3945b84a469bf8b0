// Rows that a block, a warp or part of a warp holds in registers: read once, reduced in two exact
// passes, applied.
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// Two sums at once.
struct Pair {
  float a = 0, b = 0;
};

template <class Real>
__device__ __forceinline__ Real combined(bool largest, Real p, Real q) {
  return largest ? larger_magnitude(p, q) : p + q;
}
__device__ __forceinline__ Pair combined(bool, Pair p, Pair q) { return {p.a + q.a, p.b + q.b}; }

template <class Real>
__device__ __forceinline__ Real exchanged(Real p, int by) {
  return __shfl_xor_sync(~0u, p, by);
}
__device__ __forceinline__ Pair exchanged(Pair p, int by) {
  return {__shfl_xor_sync(~0u, p.a, by), __shfl_xor_sync(~0u, p.b, by)};
}

// Sums over the threads of a row, or the largest; every thread has the result. Threads exchange in
// pairs, so all of them add in the same tree.
template <class Value>
__device__ Value across(int group, bool largest, Value p) {
  for (int by = (group < 32 ? group : 32) / 2; by > 0; by /= 2) {
    p = combined(largest, p, exchanged(p, by));
  }
  if (group <= 32) return p;
  __shared__ Value warps[32];
  const int lane = static_cast<int>(threadIdx.x) % 32, count = group / 32;
  __syncthreads();  // what was exchanged before has been read
  if (lane == 0) warps[threadIdx.x / 32] = p;
  __syncthreads();
  p = lane < count ? warps[lane] : Value();
  for (int by = 16; by > 0; by /= 2) p = combined(largest, p, exchanged(p, by));
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

  // f(f(...), x), folded over each vector, and the results combined.
  template <class Value, class F>
  __device__ __forceinline__ Value fold(bool largest, F f) const {
    Value total = {};
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      Value part = {};
#pragma unroll
      for (int i = 0; i < kWidth; ++i) part = f(part, x[v][i]);
      if (has(v)) total = combined(largest, total, part);
    }
    return across(group, largest, total);
  }
};

// A row that float32 does not do, where sums overflow, squares underflow, or the first mean was too
// far off: its statistic in float64, and all that follows. Every thread of the row's warps takes
// part; `mine` says whose row it is.
template <class T>
__device__ __forceinline__ void exact_row(const Task& task, int64_t row, bool mine) {
  const int group = task.group, me = static_cast<int>(threadIdx.x) % group;
  const int size = mine ? static_cast<int>(task.shape.run) : 0;
  const Reduction reduction = task.reduction;
  Moments m = {static_cast<double>(task.shape.run), 0, 0, 0};
#pragma unroll 1
  for (int pass = reduction == Reduction::kMoments ? 0 : 1; pass < 2; ++pass) {
    double total = 0;
#pragma unroll 1
    for (int i = me; i < size; i += group) {
      float x[1];
      load_x<T>(task, row * task.shape.run + i, x);
      const double d = x[0] - m.mean, square = d * d, magnitude = fabs(d);
      const double part = pass == 0 ? d : reduction <= Reduction::kSquares ? square : magnitude;
      total = combined(reduction == Reduction::kMaximum, total, part);
    }
    total = across(group, reduction == Reduction::kMaximum, total);
    (pass == 0 ? m.mean : m.m2) = pass == 0 ? total / m.count : total;
  }
  if (!mine) return;
  const double r = reciprocal(divisor(task.rule, m.m2, m.count, task.rule.eps));
  if (me == 0 && task.reports()) report(task, row, m, r);
  const Map map = make_map(m.mean, 0, r);
#pragma unroll 1
  for (int i = me; i < size && task.y.data; i += group) apply_one<T>(task, map, row, i);
}

template <class T, int kWidth, int kVectors>
__global__ void __launch_bounds__(row_threads(kWidth, kVectors),
                                  kWidth* kVectors == kValues ? 1 : 6)
    row_forward(const __grid_constant__ Task task) {
  const Reduction reduction = task.reduction;
  const int64_t rows = task.shape.units;
  const int size = static_cast<int>(task.shape.run), group = task.group;
  const float count = static_cast<float>(size);
  const int together = static_cast<int>(blockDim.x) / group;
  const int slot = static_cast<int>(threadIdx.x) / group;

  for (int64_t first = blockIdx.x * static_cast<int64_t>(together); first < rows;
       first += gridDim.x * static_cast<int64_t>(together)) {
    const int64_t number = first + slot, base = number * size;
    Held<kVectors, kWidth> row = {};
    row.group = group;
    row.first = static_cast<int>(threadIdx.x) % group * kWidth;
    row.count = number < rows ? size : 0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      if (row.has(v)) load_x<T>(task, base + row.lane(v), row.x[v]);
    }

    Sums<float> m = {count, 0, 0, 0};
    bool exact = true;
    if (reduction == Reduction::kMoments) {
      m.mean = row.template fold<float>(false, [](float p, float x) { return p + x; }) / count;
      const Pair d = row.template fold<Pair>(false, [=](Pair p, float x) {
        const float from_mean = x - m.mean;
        return Pair{p.a + from_mean, fmaf(from_mean, from_mean, p.b)};
      });
      m.mean_lo = d.a / count;
      m.m2 = fmaf(-d.a, m.mean_lo, d.b);
      exact = m.m2 >= 0.5f * d.b && m.m2 >= task.tiny * count && d.b - d.b == 0;
    } else {
      const bool squares = reduction == Reduction::kSquares;
      const bool largest = reduction == Reduction::kMaximum;
      m.m2 = row.template fold<float>(largest, [=](float p, float x) {
        return squares ? fmaf(x, x, p) : combined(largest, p, fabsf(x));
      });
      exact = m.m2 - m.m2 == 0 && (!squares || m.m2 >= task.tiny * count);
    }
    const float r = reciprocal(divisor(task.rule, m.m2, count, static_cast<float>(task.rule.eps)));
    exact = row.count == 0 || (exact && r >= 0x1p-100f && r <= 0x1p100f);

    if (exact && task.y.data) {
      const float shift = -m.mean_lo * r;
      const int64_t weight = task.weight.of_line(number), bias = task.bias.of_line(number);
#pragma unroll
      for (int v = 0; v < kVectors; ++v) {
        if (!row.has(v)) continue;
        if (task.sum.data) store(task.sum, base + row.lane(v), task.whole, row.x[v]);
        float y[kWidth], w[kWidth];
#pragma unroll
        for (int i = 0; i < kWidth; ++i) y[i] = fmaf(row.x[v][i] - m.mean, r, shift);
        if (task.weight.array.data) {
          look_up(task.weight, weight, row.lane(v), w);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) y[i] *= w[i];
        }
        if (task.bias.array.data) {
          look_up(task.bias, bias, row.lane(v), w);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) y[i] += w[i];
        }
        complete(task, base + row.lane(v), y);
      }
    }
    if (exact && row.first == 0 && row.count > 0 && task.reports()) {
      report(task, number, {m.count, m.mean, m.mean_lo, m.m2}, r);
    }
    // Rows of other groups in the warp take part in the exchange.
    if (__any_sync(~0u, !exact)) exact_row<T>(task, number, !exact && row.count > 0);
  }
}

}  // namespace normfast::cuda
