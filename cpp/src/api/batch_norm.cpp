#include <cmath>
#include <cstring>

#include "api/operations.hpp"
#include "api/prepared.hpp"
#include "dispatch/dispatch.hpp"

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

// running = (1 - momentum) * running + momentum * value; value(i, v) gives the i-th in C order, or
// says that there is none.
template <class Value>
void update(const View& running, double momentum, Value value) {
  Nest nest;
  for (int i = 0; i < running.ndim; ++i) {
    Dim dim = {running.shape[i], Offsets::zero()};
    dim.step.at[kX] = running.strides[i];
    nest.push(dim);
  }
  const Kernels<double>& convert = kernels().f64;
  const int type = static_cast<int>(running.dtype);
  for_runs(nest, 0, nest.size(), [&](int64_t first, const Offsets& at, int64_t count) {
    char* p = static_cast<char*>(running.data) + at[kX];
    for (int64_t i = first; i < first + count; ++i, p += nest.inner_step(kX)) {
      double old, batch;
      if (!value(i, batch)) continue;
      convert.widen[type](p, &old, 1);
      old = (1 - momentum) * old + momentum * batch;
      convert.narrow[type](&old, p, 1);
    }
  });
}

// What both operations do first. In evaluation the running statistics take the place of the
// batch's.
template <class Options>
void start(Problem& problem, const Options& options, const AxisList& channels, bool training) {
  const Running running = {options.running_mean, options.running_var};
  problem.check_eps(options.eps);
  problem.rule.eps = options.eps;
  problem.weight("weight", options.weight, channels);
  problem.bias("bias", options.bias, channels);
  check_running(problem, running, channels, training);
  problem.select(options);
  problem.add(options.add);
  problem.activation(options.activation);
  if (training) {
    if (!std::isfinite(options.momentum)) problem.fail("momentum is not finite");
    return;
  }
  if (!running.given()) problem.fail("running_mean is None, expected an array in evaluation");
  problem.give({running.mean, channels}, {running.var, channels}, options.eps, true);
}

// A statistic needs more than one value, or none at all; the variance that is kept also more than
// the correction.
void check_count(const Problem& problem, const char* what, double correction, bool kept) {
  const auto check = [&](double number, double weight) {
    if (number == 1) {
      problem.fail(std::string("expected more than one value per ") + what + " in training");
    }
    if (kept && number > 0 && !(weight - correction > 0)) {
      problem.fail("running_var_correction is " + number_text(correction) +
                   ", expected less than " + number_text(weight) + ", the values per channel");
    }
  };
  if (!problem.weighted()) {
    const double count = static_cast<double>(problem.count());
    return check(count, count);
  }
  const Problem::Selected selected = problem.selected();
  for (std::size_t i = 0; i < selected.number.size(); ++i) {
    check(selected.number[i], selected.weight[i]);
  }
}

// A prepared call updates no running statistics: they are no arrays of its runs.
void refuse_updates(const Problem& problem, const View& running_mean, bool training) {
  if (training && running_mean.given()) {
    problem.fail("running_mean is given, which no prepared call updates");
  }
}

}  // namespace

void define(Problem& problem, const View& x, Axes channels, const BatchNorm& options) {
  start(problem, options, axes_of(channels, x.ndim), options.training);
  if (!options.training) return;
  const View& tracked = options.num_batches_tracked;
  if (tracked.given()) {
    if (tracked.dtype != DType::kInt64) problem.fail_type("num_batches_tracked is not int64");
    if (tracked.ndim != 0) {
      problem.fail("num_batches_tracked has " + describe(tracked) + ", expected 0-d");
    }
    problem.check_updated("num_batches_tracked", tracked);
  } else if (options.cumulative && options.running_mean.given()) {
    problem.fail("momentum is None, which needs num_batches_tracked");
  }
  if (problem.empty()) return;
  check_count(problem, "channel", options.running_var_correction, options.running_mean.given());
}

void batch_norm(const View& x, Axes channels, const BatchNorm& options) {
  Problem problem("batch_norm", x, ~channels, options);
  define(problem, x, channels, options);
  if (!options.training || problem.empty()) return problem.run();
  const View& running_mean = options.running_mean;
  const View& tracked = options.num_batches_tracked;
  if (running_mean.given()) problem.keep_moments();
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
  update(running_mean, momentum, [&](int64_t i, double& mean) {
    mean = problem.mean(i);
    return problem.weight_of(i) > 0;
  });
  update(options.running_var, momentum, [&](int64_t i, double& var) {
    var = problem.m2(i) / (problem.weight_of(i) - options.running_var_correction);
    return problem.weight_of(i) > 0;
  });
}

Axes kept(int channel_axis, const InstanceNorm& options) {
  return options.use_input_stats ? per_sample(channel_axis) : axis(channel_axis);
}

void define(Problem& problem, const View& x, int channel_axis, const InstanceNorm& options) {
  start(problem, options, axes_of(axis(channel_axis), x.ndim), options.use_input_stats);
  if (!options.use_input_stats || problem.empty()) return;
  check_count(problem, "channel and sample", 1, options.running_mean.given());
}

void instance_norm(const View& x, int channel_axis, const InstanceNorm& options) {
  need_two_axes("instance_norm", x);
  const int batch_axis = batch_axis_beside(channel_axis);
  Problem problem("instance_norm", x, ~kept(channel_axis, options), options);
  define(problem, x, channel_axis, options);
  const bool updates = options.use_input_stats && options.running_mean.given();
  if (!updates || problem.empty()) return problem.run();
  problem.keep_moments();
  problem.run();
  // The running statistics take the average over the samples that have any.
  const int64_t samples = x.shape[batch_axis], width = x.shape[channel_axis];
  const auto average = [&](auto value) {
    return [=, &problem](int64_t c, double& result) {
      double sum = 0, number = 0;
      for (int64_t n = 0; n < samples; ++n) {
        const int64_t i = batch_axis < channel_axis ? n * width + c : c * samples + n;
        if (!(problem.weight_of(i) > 0)) continue;
        sum += value(i);
        ++number;
      }
      result = sum / number;
      return number > 0;
    };
  };
  update(options.running_mean, options.momentum,
         average([&](int64_t i) { return problem.mean(i); }));
  update(options.running_var, options.momentum,
         average([&](int64_t i) { return problem.m2(i) / (problem.weight_of(i) - 1); }));
}

Prepared prepare(const View& x, Axes channels, const BatchNorm& options) {
  if (options.training && options.num_batches_tracked.given()) {
    throw ValueError("batch_norm: num_batches_tracked is given, which no prepared call updates");
  }
  return prepared("batch_norm", x, ~channels, options,
                  [=](Problem& p, const View& mine, const BatchNorm& o) {
                    refuse_updates(p, o.running_mean, o.training);
                    define(p, mine, channels, o);
                  });
}

Prepared prepare(const View& x, int channel_axis, const InstanceNorm& options) {
  need_two_axes("instance_norm", x);
  return prepared("instance_norm", x, ~kept(channel_axis, options), options,
                  [=](Problem& p, const View& mine, const InstanceNorm& o) {
                    refuse_updates(p, o.running_mean, o.use_input_stats);
                    define(p, mine, channel_axis, o);
                  });
}

}  // namespace normfast
