// Maps applied: a thread keeps those of its lanes and walks over lines.
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// The map of one statistic that was given.
__device__ inline Map known_map(const Task& task, int64_t line, int64_t lane) {
  const double mean = look_up_exact(task.mean, line, lane);
  float by;
  if (task.scale.type == DType::kFloat64) {
    const double scale = look_up_exact(task.scale, line, lane) + task.plus;
    return make_map(mean, 0, reciprocal(task.root ? sqrt(scale) : scale));
  }
  by = static_cast<float>(look_up_exact(task.scale, line, lane)) + static_cast<float>(task.plus);
  const float r = reciprocal(task.root ? sqrtf(by) : by), center = static_cast<float>(mean);
  return {1, center, r, static_cast<float>(center - mean) * r};
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kBlock, 2) apply(const __grid_constant__ Task task) {
  constexpr int kLines = kWidth == 8 ? 4 : kTogether;  // loaded before the first is used
  const Shape& s = task.shape;
  const int64_t lanes = s.lanes();
  const int across = task.across, rows = kBlock / across;
  const int thread = static_cast<int>(threadIdx.x), row = thread / across;
  const int64_t tiles = divide_up(lanes / kWidth, across);
  const int64_t blocks = divide_up(s.lines, task.block_lines);
  if (row >= rows) return;  // there is no barrier here
  for (int64_t part = blockIdx.x; part < s.units * blocks * tiles; part += gridDim.x) {
    const int64_t tile = part % tiles, block = part / tiles % blocks, unit = part / tiles / blocks;
    const int64_t lane = (tile * across + thread % across) * kWidth;
    if (lane >= lanes) continue;
    const int64_t before = unit * s.lines, first = block * task.block_lines;
    const int64_t last = first + task.block_lines < s.lines ? first + task.block_lines : s.lines;

    Map map[kWidth];
    const bool one = s.run % kWidth == 0;  // statistic for the whole vector
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      if (i > 0 && one) {
        map[i] = map[0];
      } else if (task.known()) {
        map[i] = known_map(task, before, lane + i);
      } else {
        map[i] = task.maps[unit * s.groups + quotient(lane + i, s.run)];
      }
    }
    // Parameters that are the same for all lines of the unit become part of the map.
    const bool weighs = task.weight.data && task.weight.step == 0;
    const bool shifts = task.bias.data && task.bias.step == 0;
    float w[kWidth], b[kWidth];
    if (weighs) {
      look_up(task.weight, 0, lane, w);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        map[i].scale *= w[i];
        map[i].shift *= w[i];
      }
    }
    const bool later = task.weight.data && !weighs;  // a weight a line, before any bias
    if (shifts && !later) {
      look_up(task.bias, 0, lane, b);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) map[i].shift += b[i];
    }
    const bool shifts_later = task.bias.data && (!shifts || later);

    for (int64_t line = first + row; line < last; line += rows * kLines) {
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
        if (task.sum.data) store(task.sum.data, task.sum.type, index, x[j]);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) x[j][i] = mapped(map[i], x[j][i]);
        if (later) {
          look_up(task.weight, task.weight.of_line(before + at), lane, w);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) x[j][i] *= w[i];
        }
        if (shifts_later) {
          look_up(task.bias, task.bias.of_line(before + at), lane, b);
#pragma unroll
          for (int i = 0; i < kWidth; ++i) x[j][i] += b[i];
        }
        complete(task, index, x[j]);
      }
    }
  }
}

}  // namespace normfast::cuda
