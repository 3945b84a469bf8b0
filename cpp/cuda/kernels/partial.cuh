// Moments of parts of statistics that no block holds: of lanes, over some of their lines (channels
// last), or of sequences of pieces (channels first, very long rows).
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// What a block reduces: vectors, each in a thread's column of vectors. The i-th of a thread lies at
// index(i), where has(i).
struct Stretch {
  const Task& task;
  int64_t unit, chunk, group;   // pieces: of one statistic; lanes: the first of the thread is
  int64_t lane;                 // this one,
  int64_t first, last = 0;      // of these lines; pieces: elements of the sequence
  int64_t start = 0, step = 0;  // the thread's first line or element; between its vectors

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
template <class T, int kWidth>
__device__ __forceinline__ void reduce(const Stretch& stretch, Sums<float> (&total)[kWidth]) {
  constexpr int kMost = together(kWidth);
  const Task& task = stretch.task;
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
    const float count = static_cast<float>(number), share = 1 / count;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      Sums<float> part = {count, 0, 0, 0};
      if (task.reduction == Reduction::kMoments) {
        float sum = 0, rest = 0;
#pragma unroll
        for (int j = 0; j < kMost; ++j) sum += x[j][k];
        part.mean = sum * share;
#pragma unroll
        for (int j = 0; j < kMost; ++j) {
          const float d = has[j] ? x[j][k] - part.mean : 0;
          rest += d;
          part.m2 = fmaf(d, d, part.m2);
        }
        part.mean_lo = rest * share;
        part.m2 = fmaf(-rest, part.mean_lo, part.m2);
      } else {
        const bool squares = task.reduction == Reduction::kSquares;
        const bool largest = task.reduction == Reduction::kMaximum;
#pragma unroll
        for (int j = 0; j < kMost; ++j) {
          const float size = fabsf(x[j][k]);
          part.m2 = squares   ? fmaf(size, size, part.m2)
                    : largest ? larger_magnitude(part.m2, size)
                              : part.m2 + size;
        }
      }
      total[k] = merge(task.reduction, total[k], part);
    }
  }
}

// Merges what the threads of one column of vectors have, and keeps it as the Moments of a lane, or
// in pieces of a group. Says whether they may be trusted.
template <class Real>
__device__ __forceinline__ bool keep(const Stretch& stretch, const Sums<Real>& total,
                                     int64_t lane) {
  __shared__ Sums<Real> sums[kBlock];
  const Task& task = stretch.task;
  const int across = task.across;
  const int thread = static_cast<int>(threadIdx.x), row = thread / across;
  __syncthreads();  // what was kept before has been read
  sums[thread] = total;
  for (int rows = kBlock / across; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (row < rows - half) {
      sums[thread] = merge(task.reduction, sums[thread], sums[thread + half * across]);
    }
    rows = half;
  }
  const int64_t width = task.partial_width();
  if (row > 0 || lane >= width) return true;
  const Sums<Real> m = sums[thread];
  task.partials[(stretch.unit * task.chunks + stretch.chunk) * width + lane] = {
      static_cast<double>(m.count), static_cast<double>(m.mean), static_cast<double>(m.mean_lo),
      static_cast<double>(m.m2)};
  const bool squares = task.reduction <= Reduction::kSquares;
  return m.m2 - m.m2 == 0 && (!squares || m.m2 >= task.tiny * m.count);
}

template <int kWidth>
__device__ __forceinline__ bool keep_all(const Stretch& stretch, Sums<float> (&total)[kWidth]) {
  if (stretch.task.in_pieces()) {
#pragma unroll
    for (int k = 1; k < kWidth; ++k) {
      total[0] = merge(stretch.task.reduction, total[0], total[k]);
    }
    return keep(stretch, total[0], stretch.group);
  }
  bool trusted = true;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) trusted &= keep(stretch, total[k], stretch.lane + k);
  return trusted;
}

// Where float32 over- or underflowed: once more in float64, element by element.
template <class T, int kWidth>
__device__ __forceinline__ void reduce_exactly(const Stretch& stretch) {
  const Task& task = stretch.task;
  Sums<double> total = {0, 0, 0, 0};
#pragma unroll 1
  for (int k = 0; k < kWidth; ++k) {
#pragma unroll 1
    for (int64_t i = 0; stretch.has(i); ++i) {
      float x[1];
      load_x<T>(task, stretch.index(i) + k, x);
      const double value = x[0], size = fabs(value);
      Sums<double> one = {1, value, 0, 0};
      if (task.reduction != Reduction::kMoments) {
        one = {1, 0, 0, task.reduction == Reduction::kSquares ? size * size : size};
      }
      total = merge(task.reduction, total, one);
    }
    if (task.in_pieces() && k + 1 < kWidth) continue;
    keep(stretch, total, task.in_pieces() ? stretch.group : stretch.lane + k);
    total = {0, 0, 0, 0};
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock, 2) partial(const __grid_constant__ Task task) {
  const Shape& s = task.shape;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t tiles = task.in_pieces() ? s.groups : divide_up(s.lanes() / kWidth, task.across);
  const int64_t parts = s.units * task.chunks * tiles;
  for (int64_t part = blockIdx.x; part < parts; part += gridDim.x) {
    const int64_t tile = part % tiles, chunk = part / tiles % task.chunks;
    Stretch stretch = {task, part / tiles / task.chunks, chunk, tile, 0, chunk * task.chunk};
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
    reduce<T>(stretch, total);
    const bool trusted = keep_all(stretch, total);
    if (__syncthreads_or(!trusted)) reduce_exactly<T, kWidth>(stretch);
  }
}

}  // namespace normfast::cuda
