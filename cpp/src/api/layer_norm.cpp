#include "api/problem.hpp"

namespace normfast {
namespace {

// Parameters have the shape of the normalised axes, in increasing order, or as many axes as x,
// which broadcast.
void affine(Problem& problem, const View& x, Axes reduced, const View& weight, const View& bias) {
  const AxisList axes = axes_of(reduced, x.ndim);
  if (weight.ndim == x.ndim) {
    problem.broadcast_weight("weight", weight);
  } else {
    problem.weight("weight", weight, axes);
  }
  if (bias.ndim == x.ndim) {
    problem.broadcast_bias("bias", bias);
  } else {
    problem.bias("bias", bias, axes);
  }
}

}  // namespace

void layer_norm(const View& x, Axes reduced, const LayerNorm& options) {
  Problem problem("layer_norm", x, reduced, options);
  problem.check_eps(options.eps);
  problem.rule.eps = options.eps;
  affine(problem, x, reduced, options.weight, options.bias);
  problem.run();
}

void rms_norm(const View& x, Axes reduced, const RmsNorm& options) {
  Problem problem("rms_norm", x, reduced, options);
  const double epsilon = x.dtype == DType::kFloat32 ? 0x1p-23 : 0x1p-52;
  const double eps = options.default_eps ? epsilon : options.eps;
  problem.check_eps(eps);
  problem.rule.divisor = Divisor::kRootMeanSquare;
  problem.rule.eps = eps;
  affine(problem, x, reduced, options.weight, View());
  problem.run();
}

}  // namespace normfast
