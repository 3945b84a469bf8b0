// Maps applied: a thread keeps those of its lanes and walks over lines.
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// Maps of the lanes of a vector, apart from `pre`: whether it is 1 for all of them.
template <int kWidth>
__device__ __forceinline__ bool load_maps(const Task& task, int64_t unit, int64_t lane,
                                          float (&center)[kWidth], float (&scale)[kWidth],
                                          float (&shift)[kWidth]) {
  if (task.maps) {
    bool in_range = true;
    const int64_t run = task.shape.run;
    int64_t at = quotient(lane, run), rest = lane - at * run;
    const Map* maps = task.maps + unit * task.shape.groups + at;
    Map map = *maps;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      center[i] = map.center;
      scale[i] = map.scale;
      shift[i] = map.shift;
      in_range &= map.pre == 1;
      if (++rest < run || i + 1 == kWidth) continue;
      rest = 0;
      map = *++maps;
    }
    return in_range;
  }
  look_up(task.mean, task.mean.of_line(unit * task.shape.lines), lane, center);
  look_up(task.scale, task.scale.of_line(unit * task.shape.lines), lane, scale);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float by = scale[i] + static_cast<float>(task.plus);
    scale[i] = reciprocal(task.root ? sqrtf(by) : by);
    shift[i] = -0.0f;
  }
  return true;
}

// Near the ends of float32's range x is first brought to its middle.
template <class T>
__device__ __forceinline__ void apply_exactly(const Task& task, int64_t unit, int64_t lane,
                                              int width, int64_t line, int64_t last, int64_t step) {
  const Shape& s = task.shape;
#pragma unroll 1
  for (; line < last; line += step) {
#pragma unroll 1
    for (int64_t l = lane; l < lane + width; ++l) {
      apply_one<T>(task, task.maps[unit * s.groups + quotient(l, s.run)], unit * s.lines + line, l);
    }
  }
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock, 2) apply(const __grid_constant__ Task task) {
  constexpr int kLines = 4;  // loaded before the first is used
  const Shape& s = task.shape;
  const int64_t lanes = s.lanes();
  const int across = task.across, rows = kBlock / across;
  const int thread = static_cast<int>(threadIdx.x), row = thread / across;
  const int64_t tiles = divide_up(lanes / kWidth, across);
  const int64_t blocks = divide_up(s.lines, task.block_lines);
  const bool weighs = task.weight.array.data, shifts = task.bias.array.data;
  // Parameters that are the same for all lines of a unit become part of its maps.
  const bool in_map = task.weight.step == 0 && task.bias.step == 0;
  if (row >= rows) return;  // there is no barrier here
  for (int64_t part = blockIdx.x; part < s.units * blocks * tiles; part += gridDim.x) {
    const int64_t tile = part % tiles, block = part / tiles % blocks, unit = part / tiles / blocks;
    const int64_t lane = (tile * across + thread % across) * kWidth;
    if (lane >= lanes) continue;
    const int64_t before = unit * s.lines, first = block * task.block_lines + row;
    const int64_t end = (block + 1) * task.block_lines, last = end < s.lines ? end : s.lines;

    float center[kWidth], scale[kWidth], shift[kWidth], w[kWidth];
    if (!load_maps(task, unit, lane, center, scale, shift)) {
      apply_exactly<T>(task, unit, lane, kWidth, first, last, rows);
      continue;
    }
    if (weighs && in_map) {
      look_up(task.weight, 0, lane, w);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        scale[i] *= w[i];
        shift[i] *= w[i];
      }
    }
    if (shifts && in_map) {
      look_up(task.bias, 0, lane, w);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) shift[i] += w[i];
    }

    for (int64_t line = first; line < last; line += rows * kLines) {
      float x[kLines][kWidth];
#pragma unroll
      for (int j = 0; j < kLines; ++j) {
        const int64_t at = line + j * rows;
        if (at < last) load_x<T>(task, (before + at) * lanes + lane, x[j]);
      }
#pragma unroll
      for (int j = 0; j < kLines; ++j) {
        const int64_t at = line + j * rows, index = (before + at) * lanes + lane;
        if (at >= last) break;
        if (task.sum.data) store(task.sum, index, task.whole, x[j]);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) x[j][i] = fmaf(x[j][i] - center[i], scale[i], shift[i]);
        if (weighs && !in_map) {
          look_up(task.weight, task.weight.of_line(before + at), lane, w);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) x[j][i] *= w[i];
        }
        if (shifts && !in_map) {
          look_up(task.bias, task.bias.of_line(before + at), lane, w);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) x[j][i] += w[i];
        }
        complete(task, index, x[j]);
      }
    }
  }
}

}  // namespace normfast::cuda
