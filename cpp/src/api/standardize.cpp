#include <algorithm>

#include "api/operations.hpp"
#include "api/prepared.hpp"

namespace normfast {
namespace {

// One value a statistic: with the averaged axes left out, or kept with size 1.
AxisList statistic_axes(const Problem& problem, const char* name, const View& view, const View& x,
                        Axes reduced) {
  AxisList kept = axes_of(~reduced, x.ndim);
  if (view.ndim != x.ndim || kept.n == x.ndim) {
    problem.check_parameter(name, view, kept);
    return kept;
  }
  problem.check_floating(name, view);
  for (int i = 0; i < x.ndim; ++i) {
    const int64_t expected = reduced & axis(i) ? 1 : x.shape[i];
    if (view.shape[i] != expected) {
      problem.fail(std::string(name) + " has " + describe(view) +
                   ", expected one value for each statistic of x, " + describe(x));
    }
  }
  return axes_of(all_axes(x.ndim), x.ndim);
}

}  // namespace

// Statistics are computed, or given.
void define(Problem& problem, const View& x, Axes reduced, const Standardize& options) {
  reduced &= all_axes(x.ndim);
  problem.select(options);
  if (options.mean.given() != options.deviation.given()) {
    problem.fail(options.mean.given() ? "std is None, but mean is given"
                                      : "mean is None, but std is given");
  }
  if (options.mean.given()) {
    const AxisList mean_axes = statistic_axes(problem, "mean", options.mean, x, reduced);
    const AxisList std_axes = statistic_axes(problem, "std", options.deviation, x, reduced);
    problem.check_read("mean", options.mean);
    problem.check_read("std", options.deviation);
    problem.give({options.mean, mean_axes}, {options.deviation, std_axes}, 0, false);
    return;
  }
  problem.rule.report = Report::kDivisor;
  problem.rule.correction = options.correction;
  if (!problem.empty() && !(static_cast<double>(problem.count()) - options.correction > 0)) {
    problem.fail("correction is " + number_text(options.correction) + ", expected less than " +
                 std::to_string(problem.count()) + ", the number of elements averaged over");
  }
}

void standardize(const View& x, Axes reduced, const Standardize& options) {
  Problem problem("standardize", x, reduced, options, Accept::kIntegersToo);
  define(problem, x, reduced, options);
  problem.run();
  double* const scale = options.statistics.scale;
  if (!scale || !options.deviation.given()) return;
  const AxisList axes = statistic_axes(problem, "std", options.deviation, x, reduced);
  const Values deviation = problem.spread(options.deviation, axes);
  std::copy_n(deviation.data, deviation.size, scale);
}

Prepared prepare(const View& x, Axes reduced, const Standardize& options) {
  const auto define_mine = [=](Problem& p, const View& mine, const Standardize& o) {
    define(p, mine, reduced, o);
  };
  return prepared("standardize", x, reduced, options, define_mine, Accept::kIntegersToo);
}

}  // namespace normfast
