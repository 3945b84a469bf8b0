#include <cstdio>
#include <normfast/normfast.hpp>
#include <vector>

int main() {
  std::vector<float> data(8 * 768);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i % 10);

  const normfast::View x = normfast::view(data.data(), {8, 768});
  normfast::LayerNorm options;
  options.out = x;  // in place
  options.num_threads = 1;
  normfast::layer_norm(x, normfast::axis(1), options);

  std::printf("%.4f %.4f %.4f\n", data[0], data[1], data[2]);
}
