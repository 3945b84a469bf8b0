#include "dispatch/dispatch.hpp"
#include "normfast/info.hpp"
#include "parallel/parallel.hpp"

namespace normfast {

void copy(const float* x, float* y, std::int64_t count, bool past_cache, int num_threads) {
  constexpr int64_t kBlock = 16 * 1024;
  const auto kernel = past_cache ? kernels().stream_copy : kernels().copy;
  parallel_for(num_threads, (count + kBlock - 1) / kBlock, [&](int64_t begin, int64_t end) {
    const int64_t last = end * kBlock < count ? end * kBlock : count;
    kernel(x + begin * kBlock, y + begin * kBlock, last - begin * kBlock);
  });
}

}  // namespace normfast
