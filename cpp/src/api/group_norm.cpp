#include "api/operations.hpp"
#include "api/prepared.hpp"

namespace normfast {

void define(Problem& problem, const View& x, int64_t num_groups, int channel_axis,
            const GroupNorm& options) {
  const int64_t channels = x.shape[channel_axis];
  if (num_groups < 1) {
    problem.fail("num_groups is " + std::to_string(num_groups) + ", expected at least 1");
  }
  if (channels % num_groups != 0) {
    problem.fail("num_groups is " + std::to_string(num_groups) + ", expected a divisor of the " +
                 std::to_string(channels) + " channels");
  }
  problem.check_eps(options.eps);
  problem.rule.eps = options.eps;
  problem.split(channel_axis, num_groups);
  const AxisList axes = axes_of(axis(channel_axis), x.ndim);
  problem.weight("weight", options.weight, axes);
  problem.bias("bias", options.bias, axes);
  problem.select(options);
  problem.add(options.add);
  problem.activation(options.activation);
}

void group_norm(const View& x, int64_t num_groups, int channel_axis, const GroupNorm& options) {
  need_two_axes("group_norm", x);
  Problem problem("group_norm", x, ~per_sample(channel_axis), options);
  define(problem, x, num_groups, channel_axis, options);
  problem.run();
}

Prepared prepare(const View& x, int64_t num_groups, int channel_axis, const GroupNorm& options) {
  need_two_axes("group_norm", x);
  return prepared("group_norm", x, ~per_sample(channel_axis), options,
                  [=](Problem& p, const View& mine, const GroupNorm& o) {
                    define(p, mine, num_groups, channel_axis, o);
                  });
}

}  // namespace normfast
