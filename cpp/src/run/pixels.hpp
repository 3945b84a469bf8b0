// Images: every channel of every pixel by the map of its channel, from one layout to another in one
// pass. Pixels go through tiles a channel each, so that any two layouts meet.
#pragma once

#include "run/work.hpp"

namespace normfast {

struct Pixels {
  Nest nest;  // all axes but the channels', by x and y
  int channels = 0;
  Array x, y;
  int64_t x_step = 0, y_step = 0;  // bytes between channels
  const int* from = nullptr;       // the channel of x that each of y's is
  const double* mean = nullptr;    // one a channel of y
  const double* rstd = nullptr;
  int threads = 1;
  bool stream = false;  // write y past the cache
};

template <class T>
void run(const Pixels& pixels, const KernelTable& table, const Kernels<T>& kernels);

extern template void run<float>(const Pixels&, const KernelTable&, const Kernels<float>&);
extern template void run<double>(const Pixels&, const KernelTable&, const Kernels<double>&);

}  // namespace normfast
