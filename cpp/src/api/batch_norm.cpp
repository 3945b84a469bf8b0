#include <cmath>
#include <cstring>

#include "api/problem.hpp"

namespace normfast {
namespace {

struct Running {
  const View& mean;
  const View& var;
  bool given() const { return mean.given(); }
};

void check_running(Problem& problem, const Running& running, const AxisList& channels,
                   bool updated) {
  if (running.mean.given() != running.var.given()) {
    problem.fail(running.mean.given() ? "running_var is None, but running_mean is given"
                                      : "running_mean is None, but running_var is given");
  }
  if (!running.given()) return;
  problem.check_parameter("running_mean", running.mean, channels);
  problem.check_parameter("running_var", running.var, channels);
  if (updated) {
    problem.check_updated("running_mean", running.mean);
    problem.check_updated("running_var", running.var);
  } else {
    problem.check_read("running_mean", running.mean);
    problem.check_read("running_var", running.var);
  }
}

// Evaluation: the running statistics take the place of the batch's.
void give_running(Problem& problem, const Running& running, const AxisList& channels, double eps) {
  problem.give(problem.spread(running.mean, channels),
               reciprocals(problem.spread(running.var, channels), eps, true));
}

// running = (1 - momentum) * running + momentum * value, value(i) of the i-th entry in C order.
template <class Value>
void update(const View& running, double momentum, Value value) {
  Nest nest;
  for (int i = 0; i < running.ndim; ++i) {
    Dim dim = {running.shape[i], Offsets::zero()};
    dim.step.at[kX] = running.strides[i];
    nest.push(dim);
  }
  const auto blend = [&](double old, int64_t i) {
    return (1 - momentum) * old + momentum * value(i);
  };
  for_runs(nest, 0, nest.size(), [&](int64_t first, const Offsets& at, int64_t count) {
    char* p = static_cast<char*>(running.data) + at[kX];
    for (int64_t i = first; i < first + count; ++i, p += nest.inner_step(kX)) {
      if (running.dtype == DType::kFloat32) {
        float v;
        std::memcpy(&v, p, sizeof v);
        v = static_cast<float>(blend(static_cast<double>(v), i));
        std::memcpy(p, &v, sizeof v);
      } else {
        double v;
        std::memcpy(&v, p, sizeof v);
        v = blend(v, i);
        std::memcpy(p, &v, sizeof v);
      }
    }
  });
}

// What both operations do first. In evaluation that is all: returns false when it has run.
template <class Options>
bool prepare(Problem& problem, const Options& options, const AxisList& channels, bool training) {
  const Running running = {options.running_mean, options.running_var};
  problem.check_eps(options.eps);
  problem.rule.eps = options.eps;
  problem.weight("weight", options.weight, channels);
  problem.bias("bias", options.bias, channels);
  check_running(problem, running, channels, training);
  if (training) {
    if (!std::isfinite(options.momentum)) problem.fail("momentum is not finite");
    if (running.given() && !problem.empty()) problem.keep_moments();
    return true;
  }
  if (!running.given()) problem.fail("running_mean is None, expected an array in evaluation");
  give_running(problem, running, channels, options.eps);
  problem.run();
  return false;
}

void check_count(const Problem& problem, int64_t count, const char* what, double correction) {
  if (count <= 1) {
    problem.fail(std::string("expected more than one value per ") + what + " in training");
  }
  if (!(static_cast<double>(count) - correction > 0)) {
    problem.fail("running_var_correction is " + number_text(correction) + ", expected less than " +
                 std::to_string(count) + ", the values per channel");
  }
}

}  // namespace

void batch_norm(const View& x, Axes channels, const BatchNorm& options) {
  Problem problem("batch_norm", x, ~channels, options);
  const AxisList axes = axes_of(channels, x.ndim);
  if (!prepare(problem, options, axes, options.training)) return;
  const View& running_mean = options.running_mean;
  const View& tracked = options.num_batches_tracked;
  if (tracked.given()) {
    if (tracked.dtype != DType::kInt64) problem.fail_type("num_batches_tracked is not int64");
    if (tracked.ndim != 0) {
      problem.fail("num_batches_tracked has " + describe(tracked) + ", expected 0-d");
    }
    problem.check_updated("num_batches_tracked", tracked);
  } else if (options.cumulative && running_mean.given()) {
    problem.fail("momentum is None, which needs num_batches_tracked");
  }
  if (problem.empty()) return problem.run();
  const int64_t count = problem.count();
  check_count(problem, count, "channel", options.running_var_correction);
  problem.run();
  double momentum = options.momentum;
  if (tracked.given()) {
    int64_t batches;
    std::memcpy(&batches, tracked.data, sizeof batches);
    ++batches;
    std::memcpy(tracked.data, &batches, sizeof batches);
    if (options.cumulative) momentum = 1 / static_cast<double>(batches);
  }
  if (!running_mean.given()) return;
  const double freedom = static_cast<double>(count) - options.running_var_correction;
  update(running_mean, momentum, [&](int64_t i) { return problem.mean(i); });
  update(options.running_var, momentum, [&](int64_t i) { return problem.m2(i) / freedom; });
}

void instance_norm(const View& x, int channel_axis, const InstanceNorm& options) {
  need_two_axes("instance_norm", x);
  const int batch_axis = channel_axis == 0 ? 1 : 0;
  const Axes channel = axis(channel_axis);
  const Axes kept = options.use_input_stats ? channel | axis(batch_axis) : channel;
  Problem problem("instance_norm", x, ~kept, options);
  const AxisList axes = axes_of(channel, x.ndim);
  if (!prepare(problem, options, axes, options.use_input_stats)) return;
  if (problem.empty()) return problem.run();
  const int64_t count = problem.count();
  check_count(problem, count, "channel and sample", 1);
  problem.run();
  if (!options.running_mean.given()) return;
  // The running statistics take the average over the samples.
  const int64_t samples = x.shape[batch_axis], width = x.shape[channel_axis];
  const auto average = [&](auto value, int64_t c) {
    double sum = 0;
    for (int64_t n = 0; n < samples; ++n) {
      sum += value(batch_axis < channel_axis ? n * width + c : c * samples + n);
    }
    return sum / static_cast<double>(samples);
  };
  const double freedom = static_cast<double>(count - 1);
  update(options.running_mean, options.momentum,
         [&](int64_t c) { return average([&](int64_t i) { return problem.mean(i); }, c); });
  update(options.running_var, options.momentum,
         [&](int64_t c) { return average([&](int64_t i) { return problem.m2(i) / freedom; }, c); });
}

}  // namespace normfast
