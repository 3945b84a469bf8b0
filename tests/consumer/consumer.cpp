// Layer norm of two rows through the installed headers and library: exits with 0 if it is right.
#include <normfast/normfast.hpp>
#include <normfast/prepared.hpp>

#include <cmath>
#include <cstdio>

namespace {

int failures = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

}  // namespace

int main() {
  float x[6] = {1, 2, 3, -10, 0, 10}, y[6] = {};
  normfast::LayerNorm options;
  options.out = normfast::view(y, {2, 3});
  options.eps = 0;
  normfast::layer_norm(normfast::view(x, {2, 3}), normfast::axis(1), options);
  const float root = std::sqrt(1.5f);
  const float wanted[6] = {-root, 0, root, -root, 0, root};
  for (int i = 0; i < 6; ++i) expect(std::fabs(y[i] - wanted[i]) < 1e-6f, "layer_norm");

  const normfast::Prepared prepared =
      normfast::prepare(normfast::view(x, {2, 3}), normfast::axis(1), options);
  float z[6] = {};
  prepared.run({x, z});
  for (int i = 0; i < 6; ++i) expect(z[i] == y[i], "prepared");

  bool refused = false;
  options.eps = -1;
  try {
    normfast::layer_norm(normfast::view(x, {2, 3}), normfast::axis(1), options);
  } catch (const normfast::ValueError&) {
    refused = true;
  }
  expect(refused, "a negative eps is a ValueError");
  return failures != 0;
}
