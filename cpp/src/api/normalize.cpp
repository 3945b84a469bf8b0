#include "api/operations.hpp"
#include "api/prepared.hpp"

namespace normfast {
namespace {

struct WithG : WeightNorm {
  View g;
};

}  // namespace

void define(Problem& problem, const Normalize& options) {
  problem.check_eps(options.eps);
  problem.rule.divisor = options.norm == Norm::kL1   ? Divisor::kL1
                         : options.norm == Norm::kL2 ? Divisor::kL2
                                                     : Divisor::kLargest;
  problem.rule.report = Report::kDivisor;
  problem.rule.eps = options.eps;
  problem.select({options.where, View()});
}

void normalize(const View& x, Axes reduced, const Normalize& options) {
  Problem problem("normalize", x, reduced, options);
  define(problem, options);
  problem.run();
}

Prepared prepare(const View& x, Axes reduced, const Normalize& options) {
  return prepared("normalize", x, reduced, options,
                  [](Problem& p, const View&, const Normalize& o) { define(p, o); });
}

void define(Problem& problem, const View& v, const View& g, Axes channels) {
  problem.rule.divisor = Divisor::kL2;
  problem.rule.report = Report::kDivisor;
  if (g.ndim != v.ndim) return problem.weight("g", g, axes_of(channels, v.ndim));
  // torch keeps g with the other axes of size 1.
  for (int i = 0; i < v.ndim; ++i) {
    const int64_t expected = channels & axis(i) ? v.shape[i] : 1;
    if (g.shape[i] != expected) {
      problem.fail("g has shape " + shape_text(g.shape, g.ndim) + ", expected one length a row");
    }
  }
  problem.broadcast_weight("g", g);
}

void weight_norm(const View& v, const View& g, Axes channels, const WeightNorm& options) {
  Problem problem("weight_norm", v, ~channels, options, Accept::kFloats, "v");
  define(problem, v, g, channels);
  problem.run();
}

Prepared prepare(const View& v, const View& g, Axes channels, const WeightNorm& options) {
  const auto define_mine = [=](Problem& p, const View& mine, const WithG& o) {
    define(p, mine, o.g, channels);
  };
  return prepared("weight_norm", v, ~channels, WithG{options, g}, define_mine, Accept::kFloats,
                  "v");
}

}  // namespace normfast
