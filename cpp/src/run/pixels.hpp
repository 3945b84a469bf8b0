// Images: every channel of every pixel by the map of its channel, from one layout to another in one
// pass. Pixels go through tiles a channel each, so that any two layouts meet.
#pragma once

#include <vector>

#include "run/work.hpp"

namespace normfast {

struct Pixels {
  Nest nest;  // all axes but the channels', by x and y
  int channels = 0;
  Array x, y;
  int64_t x_step = 0, y_step = 0;  // bytes between channels
  const int* from = nullptr;       // the channel of x that each of y's is
  const double* mean = nullptr;    // one a channel of y, needed for its map only
  const double* rstd = nullptr;
  int threads = 1;
  bool stream = false;  // write y past the cache
};

// The map of each channel of y, prepared.
template <class T>
struct ChannelMaps {
  std::vector<Statistic> statistics;
  std::vector<Normalizer<T>> maps;
  std::vector<char> fits;  // the others are applied in float64

  ChannelMaps() = default;
  ChannelMaps(const Pixels& pixels, const Kernels<T>& kernels);
};

// Pixels [begin, end), by the threads of `pixels`. Nothing is allocated.
template <class T>
void run(const Pixels& pixels, const ChannelMaps<T>& maps, const KernelTable& table,
         const Kernels<T>& kernels, int64_t begin, int64_t end);

extern template struct ChannelMaps<float>;
extern template struct ChannelMaps<double>;
extern template void run<float>(const Pixels&, const ChannelMaps<float>&, const KernelTable&,
                                const Kernels<float>&, int64_t, int64_t);
extern template void run<double>(const Pixels&, const ChannelMaps<double>&, const KernelTable&,
                                 const Kernels<double>&, int64_t, int64_t);

}  // namespace normfast
