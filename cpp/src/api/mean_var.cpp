#include "api/operations.hpp"
#include "api/prepared.hpp"

namespace normfast {

void define(Problem& problem, const MeanVar& options) {
  if (options.out.given()) problem.fail("out is given, expected none");
  const int64_t count = problem.count(), statistics = problem.statistics();
  if (count == 0 && statistics > 0) problem.fail("x is empty along the axes averaged over");
  const double freedom = static_cast<double>(count) - options.correction;
  if (!(freedom > 0) && statistics > 0) {
    problem.fail("correction is " + number_text(options.correction) + ", expected less than " +
                 std::to_string(count) + ", the number of elements averaged over");
  }
  problem.rule.report = Report::kVariance;
  problem.rule.correction = options.correction;
  problem.select(options);
}

void mean_var(const View& x, Axes reduced, const MeanVar& options) {
  Problem problem("mean_var", x, reduced, options, Accept::kIntegersToo);
  define(problem, options);
  problem.run();
}

Prepared prepare(const View& x, Axes reduced, const MeanVar& options) {
  const auto define_mine = [](Problem& p, const View&, const MeanVar& o) { define(p, o); };
  return prepared("mean_var", x, reduced, options, define_mine, Accept::kIntegersToo);
}

}  // namespace normfast
