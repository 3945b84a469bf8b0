#include "api/problem.hpp"

namespace normfast {
namespace {

// The shape of the normalised axes, in increasing order; or as many axes as x, which broadcast.
bool along_axes(const Problem& problem, const char* name, const View& view, const View& x,
                const AxisList& axes) {
  if (view.ndim == x.ndim && view.ndim != axes.n) return false;
  problem.check_parameter(name, view, axes);
  return true;
}

void affine(Problem& problem, const View& x, Axes reduced, const View& weight, const View& bias) {
  const AxisList axes = axes_of(reduced, x.ndim);
  if (weight.given()) {
    if (along_axes(problem, "weight", weight, x, axes)) {
      problem.weight("weight", weight, axes);
    } else {
      problem.broadcast_weight("weight", weight);
    }
  }
  if (bias.given()) {
    if (along_axes(problem, "bias", bias, x, axes)) {
      problem.bias("bias", bias, axes);
    } else {
      problem.broadcast_bias("bias", bias);
    }
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
