#include <algorithm>

#include "api/operations.hpp"
#include "cuda/cuda.hpp"
#include "cuda/plan.hpp"
#include "cuda/run.hpp"

namespace normfast::cuda {
namespace {

constexpr Accept kFloats = Accept::kFloats;
constexpr Memory kDevice = Memory::kDevice;

Array array_of(const View& view) {
  if (!view.given()) return {};
  return {static_cast<char*>(view.data), view.dtype};
}

// Running statistics: the values of each array lie side by side.
Array running_array(const Problem& problem, const char* name, const View& view) {
  int64_t step = size_of(view.dtype);
  for (int i = view.ndim; i-- > 0;) {
    if (view.shape[i] != 1 && view.strides[i] != step) {
      problem.fail(std::string(name) + " is not contiguous, which a GPU needs");
    }
    step *= view.shape[i];
  }
  return array_of(view);
}

template <class Options>
void update(const Problem& problem, const Options& options, Running& running) {
  if (!options.running_mean.given()) return;
  running.mean = running_array(problem, "running_mean", options.running_mean);
  running.var = running_array(problem, "running_var", options.running_var);
  running.channels = options.running_mean.size();
  running.momentum = options.momentum;
}

class Call {
 public:
  Call(const char* operation, const View& x, Axes reduced, const Common& options,
       const char* x_name = "x")
      : x_(x),
        options_(options),
        problem_(operation, x, reduced, options, kFloats, x_name, kDevice) {
    if (x.dtype == DType::kFloat64) {
      problem_.fail_type(std::string(x_name) +
                         " is float64, expected float32, float16 or bfloat16 on a GPU");
    }
  }

  Problem& problem() { return problem_; }
  Task& task() { return task_; }

  void run(const Launch& launch) {
    const Work& work = problem_.work();
    task_.x = array_of(x_);
    task_.y = array_of(options_.out);
    task_.addend = work.addend;
    task_.sum = work.sum;
    task_.residual = work.residual();
    task_.activation = work.activation;
    task_.rule = problem_.rule;
    task_.reduction = task_.rule.reduction();
    task_.tiny = static_cast<float>(tiny_square<float>(task_.rule));
    task_.out_mean = options_.statistics.mean;
    task_.out_scale = options_.statistics.scale;
    lay_out(problem_, task_);
    cuda::run(task_, launch);
  }

 private:
  const View& x_;
  const Common& options_;
  Problem problem_;
  Task task_;
};

}  // namespace

void mean_var(const View& x, Axes reduced, const MeanVar& options, const Launch& launch) {
  Call call("mean_var", x, reduced, options);
  define(call.problem(), options);
  call.run(launch);
}

void layer_norm(const View& x, Axes reduced, const LayerNorm& options, const Launch& launch) {
  Call call("layer_norm", x, reduced, options);
  define(call.problem(), x, reduced, options);
  call.run(launch);
}

void rms_norm(const View& x, Axes reduced, const RmsNorm& options, const Launch& launch) {
  Call call("rms_norm", x, reduced, options);
  define(call.problem(), x, reduced, options);
  call.run(launch);
}

void batch_norm(const View& x, Axes channels, const BatchNorm& options, const Launch& launch) {
  Call call("batch_norm", x, ~channels, options);
  define(call.problem(), x, channels, options);
  if (options.training) {
    Running& running = call.task().running;
    update(call.problem(), options, running);
    running.correction = options.running_var_correction;
    running.cumulative = options.cumulative;
    running.batches = static_cast<int64_t*>(options.num_batches_tracked.data);
  }
  call.run(launch);
}

void instance_norm(const View& x, int channel_axis, const InstanceNorm& options,
                   const Launch& launch) {
  need_two_axes("instance_norm", x);
  Call call("instance_norm", x, ~kept(channel_axis, options), options);
  define(call.problem(), x, channel_axis, options);
  if (options.use_input_stats) {
    Running& running = call.task().running;
    const int batch_axis = batch_axis_beside(channel_axis);
    update(call.problem(), options, running);
    running.samples = x.shape[batch_axis];
    const bool samples_first = batch_axis < channel_axis;
    running.sample_step = samples_first ? x.shape[channel_axis] : 1;
    running.channel_step = samples_first ? 1 : running.samples;
  }
  call.run(launch);
}

void group_norm(const View& x, int64_t num_groups, int channel_axis, const GroupNorm& options,
                const Launch& launch) {
  need_two_axes("group_norm", x);
  Call call("group_norm", x, ~per_sample(channel_axis), options);
  define(call.problem(), x, num_groups, channel_axis, options);
  call.run(launch);
}

void normalize(const View& x, Axes reduced, const Normalize& options, const Launch& launch) {
  Call call("normalize", x, reduced, options);
  define(call.problem(), options);
  call.run(launch);
}

void weight_norm(const View& v, const View& g, Axes channels, const WeightNorm& options,
                 const Launch& launch) {
  Call call("weight_norm", v, ~channels, options, "v");
  define(call.problem(), v, g, channels);
  call.run(launch);
}

void standardize(const View& x, Axes reduced, const Standardize& options, const Launch& launch) {
  Call call("standardize", x, reduced, options);
  define(call.problem(), x, reduced, options);
  call.run(launch);
}

}  // namespace normfast::cuda
