// Partial Moments to statistics: merged in an order that the task fixes, reported, made maps; and
// running statistics.
#pragma once

#include "cuda/kernels/finish.cuh"
#include "cuda/plan.hpp"

namespace normfast::cuda {

// `group` threads merge a statistic.
__global__ void __launch_bounds__(kFinalizeBlock) finalize(const __grid_constant__ Task task) {
  const Shape& s = task.shape;
  const Reduction reduction = task.reduction;
  const int group = task.group, me = static_cast<int>(threadIdx.x) % group;
  const int64_t members = task.in_pieces() ? 1 : s.run;  // lanes of a statistic
  const int64_t parts = task.known() || s.lines == 0 ? 0 : task.chunks * members;
  const int64_t together = kFinalizeBlock / group, statistics = s.statistics();
  for (int64_t first = blockIdx.x * together; first < statistics; first += gridDim.x * together) {
    const int64_t number = first + static_cast<int>(threadIdx.x) / group;
    const int64_t unit = number / s.groups, at = number % s.groups;
    Moments m = {0, 0, 0, 0};
    for (int64_t i = me; i < parts && number < statistics; i += group) {
      const int64_t chunk = quotient(i, members), member = i - chunk * members;
      m = merge(reduction, m,
                task.partials[(unit * task.chunks + chunk) * (s.groups * members) + at * members +
                              member]);
    }
    for (int by = group / 2; by > 0; by /= 2) {
      const Moments other = {__shfl_down_sync(~0u, m.count, by), __shfl_down_sync(~0u, m.mean, by),
                             __shfl_down_sync(~0u, m.mean_lo, by), __shfl_down_sync(~0u, m.m2, by)};
      m = merge(reduction, m, other);
    }
    if (me > 0 || number >= statistics) continue;
    double r = 1;
    if (task.known()) {
      const int64_t line = unit * s.lines, lane = at * s.run;
      const double scale = exact_entry(task.scale, line, lane) + task.plus;
      m.mean = exact_entry(task.mean, line, lane);
      r = reciprocal(task.root ? sqrt(scale) : scale);
      if (task.out_mean) task.out_mean[task.places.of(number)] = m.mean;
      if (task.out_scale) {
        task.out_scale[task.places.of(number)] = task.rule.report == Report::kDivisor ? scale : r;
      }
    } else {
      if (m.count > 0) r = reciprocal(divisor(task.rule, m.m2, m.count, task.rule.eps));
      report(task, number, m, r);
    }
    if (task.maps) task.maps[number] = make_map(m.mean, m.mean_lo, r);
  }
}

// running = (1 - momentum) * running + momentum * the average over samples.
__global__ void __launch_bounds__(kFinalizeBlock) update(const __grid_constant__ Task task) {
  const Running& running = task.running;
  double momentum = running.momentum;
  if (running.cumulative) momentum = 1 / (static_cast<double>(*running.batches) + 1);
  const auto blend = [=](const Array& array, int64_t c, double value) {
    const double now = (1 - momentum) * exact_entry(array, c) + momentum * value;
    if (array.type == DType::kFloat64) {
      reinterpret_cast<double*>(array.data)[c] = now;
    } else {
      const float rounded[1] = {static_cast<float>(now)};
      store(array, c, false, rounded);
    }
  };
  const int64_t step = int64_t{gridDim.x} * kFinalizeBlock;
  for (int64_t c = int64_t{blockIdx.x} * kFinalizeBlock + threadIdx.x; c < running.channels;
       c += step) {
    double mean = 0, var = 0;
    for (int64_t n = 0; n < running.samples; ++n) {
      const Moments& m = task.out_moments[c * running.channel_step + n * running.sample_step];
      mean += m.mean + m.mean_lo;
      var += m.m2 / (m.count - running.correction);
    }
    blend(running.mean, c, mean / static_cast<double>(running.samples));
    blend(running.var, c, var / static_cast<double>(running.samples));
  }
}

__global__ void __launch_bounds__(32) count_batch(const __grid_constant__ Task task) {
  if (threadIdx.x == 0) ++*task.running.batches;
}

}  // namespace normfast::cuda
