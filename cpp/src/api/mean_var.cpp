#include <limits>

#include "api/operations.hpp"

namespace normfast {

void define(Problem& problem, const MeanVar& options) {
  const int64_t count = problem.count(), statistics = problem.statistics();
  if (count == 0 && statistics > 0) problem.fail("x is empty along the axes averaged over");
  const double freedom = static_cast<double>(count) - options.correction;
  if (!(freedom > 0) && statistics > 0) {
    problem.fail("correction is " + number_text(options.correction) + ", expected less than " +
                 std::to_string(count) + ", the number of elements averaged over");
  }
  problem.select(options);
}

void mean_var(const View& x, Axes reduced, const MeanVar& options) {
  Problem problem("mean_var", x, reduced, options, Accept::kIntegersToo);
  define(problem, options);
  problem.report_m2();
  problem.run();
  const int64_t statistics = problem.statistics();
  double* const var = options.statistics.scale;
  for (int64_t i = 0; i < statistics && var; ++i) {
    // Nothing selected leaves 0; too little for the correction is not a number.
    const double weight = problem.weight_of(i), rest = weight - options.correction;
    if (weight > 0) var[i] = rest > 0 ? var[i] / rest : std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace normfast
