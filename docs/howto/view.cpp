// Layer norm over the last axis of 8 rows of 768 floats, in place.
#include <vector>

#include "normfast/normfast.hpp"

normfast::View rows(std::vector<float>& data, int n, int width) {
  normfast::View view;
  view.data = data.data();
  view.ndim = 2;
  view.shape[0] = n;
  view.shape[1] = width;
  view.strides[0] = width * static_cast<int>(sizeof(float));
  view.strides[1] = sizeof(float);
  return view;
}

int main() {
  std::vector<float> data(8 * 768, 1.0f);
  const normfast::View x = rows(data, 8, 768);
  normfast::LayerNorm options;
  options.out = x;
  options.num_threads = 1;
  normfast::layer_norm(x, normfast::axis(1), options);
}
