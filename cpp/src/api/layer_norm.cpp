#include <cmath>

#include "api/operations.hpp"
#include "api/prepared.hpp"

namespace normfast {
namespace {

// Parameters have the shape of the normalised axes, in increasing order, or as many axes as x,
// which broadcast.
void affine(Problem& problem, const View& x, Axes reduced, const View& weight, const View& bias,
            double weight_offset) {
  const AxisList axes = axes_of(reduced, x.ndim);
  if (weight.ndim == x.ndim) {
    problem.broadcast_weight("weight", weight, weight_offset);
  } else {
    problem.weight("weight", weight, axes, weight_offset);
  }
  if (bias.ndim == x.ndim) {
    problem.broadcast_bias("bias", bias);
  } else {
    problem.bias("bias", bias, axes);
  }
}

// What both operations share.
template <class Options>
void start(Problem& problem, const Options& options, double eps) {
  problem.check_eps(eps);
  problem.rule.eps = eps;
  problem.residual(options.residual, options.sum);
  problem.activation(options.activation);
  problem.select(options);
}

}  // namespace

void define(Problem& problem, const View& x, Axes reduced, const LayerNorm& options) {
  start(problem, options, options.eps);
  affine(problem, x, reduced, options.weight, options.bias, 0);
}

void define(Problem& problem, const View& x, Axes reduced, const RmsNorm& options) {
  const double epsilon = problem.computing() == DType::kFloat32 ? 0x1p-23 : 0x1p-52;
  start(problem, options, options.default_eps ? epsilon : options.eps);
  problem.rule.divisor = Divisor::kRootMeanSquare;
  if (!std::isfinite(options.weight_offset)) problem.fail("weight_offset is not finite");
  affine(problem, x, reduced, options.weight, View(), options.weight_offset);
}

namespace {

template <class Options>
void call(const char* operation, const View& x, Axes reduced, const Options& options) {
  Problem problem(operation, x, reduced, options);
  define(problem, x, reduced, options);
  problem.run();
}

template <class Options>
Prepared prepared(const char* operation, const View& x, Axes reduced, const Options& options) {
  return normfast::prepared(
      operation, x, reduced, options,
      [=](Problem& p, const View& mine, const Options& o) { define(p, mine, reduced, o); });
}

}  // namespace

void layer_norm(const View& x, Axes reduced, const LayerNorm& options) {
  call("layer_norm", x, reduced, options);
}

void rms_norm(const View& x, Axes reduced, const RmsNorm& options) {
  call("rms_norm", x, reduced, options);
}

Prepared prepare(const View& x, Axes reduced, const LayerNorm& options) {
  return prepared("layer_norm", x, reduced, options);
}

Prepared prepare(const View& x, Axes reduced, const RmsNorm& options) {
  return prepared("rms_norm", x, reduced, options);
}

}  // namespace normfast
