// Moments of parts of statistics that no block holds: of lanes, over some of their lines (channels
// last), or of sequences of pieces (channels first, very long rows).
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// What a block reduces: vectors, each in a thread's column of vectors. The i-th of a thread lies at
// index(i), where has(i).
template <int kWidth>
struct Stretch {
  const Task& task;
  int64_t unit, group;  // pieces: of one statistic; lanes: the first of the thread is
  int64_t lane;         // this one,
  int64_t first, last;  // of these lines; pieces: elements of the sequence
  int64_t start, step;  // the thread's first line or element; between its vectors

  __device__ __forceinline__ bool has(int64_t i) const {
    return lane < task.shape.lanes() && start + i * step < last;
  }
  __device__ __forceinline__ int64_t index(int64_t i) const {
    const Shape& s = task.shape;
    const int64_t at = start + i * step;
    if (!task.in_pieces()) return (unit * s.lines + at) * s.lanes() + lane;
    const int64_t line = s.lines == 1 ? 0 : quotient(at, s.run);
    return ((unit * s.lines + line) * s.groups + group) * s.run + (at - line * s.run);
  }
};

// Vectors are reduced together in registers, about their own mean, then merged.
template <class Real, class T, int kWidth>
__device__ __forceinline__ void reduce(const Stretch<kWidth>& stretch,
                                       Sums<Real> (&total)[kWidth]) {
  constexpr int kMost = sizeof(Real) == sizeof(float) ? kTogether : 1;
  const Task& task = stretch.task;
  const Reduction reduction = task.reduction;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) total[k] = {0, 0, 0, 0};
  for (int64_t i = 0; stretch.has(i); i += kMost) {
    float x[kMost][kWidth];
    bool has[kMost];
    int number = 0;
#pragma unroll
    for (int j = 0; j < kMost; ++j) {
#pragma unroll
      for (int k = 0; k < kWidth; ++k) x[j][k] = 0;
      has[j] = stretch.has(i + j);
      if (!has[j]) continue;
      load_x<T>(task, stretch.index(i + j), x[j]);
      ++number;
    }
    const Real count = static_cast<Real>(number), share = 1 / count;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      Sums<Real> part = {count, 0, 0, 0};
      if (reduction == Reduction::kMoments) {
        Real sum = 0, rest = 0;
#pragma unroll
        for (int j = 0; j < kMost; ++j) sum += static_cast<Real>(x[j][k]);
        part.mean = sum * share;
#pragma unroll
        for (int j = 0; j < kMost; ++j) {
          const Real d = has[j] ? static_cast<Real>(x[j][k]) - part.mean : 0;
          rest += d;
          part.m2 = fma(d, d, part.m2);
        }
        part.mean_lo = rest * share;
        part.m2 = fma(-rest, part.mean_lo, part.m2);
      } else {
#pragma unroll
        for (int j = 0; j < kMost; ++j) {
          const Real value = static_cast<Real>(x[j][k]), size = value < 0 ? -value : value;
          if (reduction == Reduction::kSquares) part.m2 = fma(value, value, part.m2);
          if (reduction == Reduction::kMagnitudes) part.m2 += size;
          if (reduction == Reduction::kMaximum) part.m2 = larger_magnitude(part.m2, size);
        }
      }
      total[k] = merge(reduction, total[k], part);
    }
  }
}

// Merges what the threads of one column of vectors have, and keeps it. Says whether all of it may
// be trusted.
template <class Real, int kWidth>
__device__ __forceinline__ bool keep(const Stretch<kWidth>& stretch, Sums<Real> (&total)[kWidth],
                                     Moments* partials, int64_t chunk) {
  __shared__ Sums<Real> sums[kBlock];
  const Task& task = stretch.task;
  const Reduction reduction = task.reduction;
  const int across = task.across, rows = kBlock / across;
  const int thread = static_cast<int>(threadIdx.x), row = thread / across;
  const int64_t width = task.partial_width();
  if (task.in_pieces()) {
#pragma unroll
    for (int k = 1; k < kWidth; ++k) total[0] = merge(reduction, total[0], total[k]);
  }
  bool trusted = true;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    if (k > 0 && task.in_pieces()) break;
    __syncthreads();
    sums[thread] = total[k];
    for (int n = rows; n > 1;) {
      const int half = (n + 1) / 2;
      __syncthreads();
      if (row < n - half) {
        sums[thread] = merge(reduction, sums[thread], sums[thread + half * across]);
      }
      n = half;
    }
    const int64_t lane = task.in_pieces() ? stretch.group : stretch.lane + k;
    if (row > 0 || lane >= width) continue;
    const Sums<Real> m = sums[thread];
    const bool squares = reduction == Reduction::kMoments || reduction == Reduction::kSquares;
    trusted &= m.m2 - m.m2 == 0 && (!squares || m.m2 >= task.tiny * m.count);
    partials[(stretch.unit * task.chunks + chunk) * width + lane] = {
        static_cast<double>(m.count), static_cast<double>(m.mean), static_cast<double>(m.mean_lo),
        static_cast<double>(m.m2)};
  }
  return trusted;
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock, 2) partial(const __grid_constant__ Task task) {
  const Shape& s = task.shape;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t tiles = task.in_pieces() ? s.groups : divide_up(s.lanes() / kWidth, task.across);
  const int64_t parts = s.units * task.chunks * tiles;
  for (int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
    const int64_t tile = part % tiles, chunk = part / tiles % task.chunks;
    Stretch<kWidth> stretch = {task, part / tiles / task.chunks, tile, 0, chunk * task.chunk, 0, 0,
                               0};
    const int64_t end = task.in_pieces() ? s.count() : s.lines;
    stretch.last = stretch.first + task.chunk < end ? stretch.first + task.chunk : end;
    if (task.in_pieces()) {
      stretch.start = stretch.first + thread * kWidth;
      stretch.step = kBlock * kWidth;
    } else {
      const int rows = kBlock / task.across, row = thread / task.across;
      stretch.lane = (tile * task.across + thread % task.across) * kWidth;
      stretch.start = row < rows ? stretch.first + row : stretch.last;
      stretch.step = rows;
    }
    Sums<float> total[kWidth];
    reduce<float, T>(stretch, total);
    if (__syncthreads_or(!keep(stretch, total, task.partials, chunk))) {
      // Float32 over- or underflowed: once more in float64.
      Sums<double> exact[kWidth];
      reduce<double, T>(stretch, exact);
      keep(stretch, exact, task.partials, chunk);
    }
  }
}

}  // namespace normfast::cuda
