// The caches of this machine: they may choose how memory is walked, never a result.
#pragma once

#include <cstdint>

namespace normfast {

// Bytes; 0: unknown.
struct Caches {
  int64_t l1d = 0, l2 = 0, l3 = 0;
};

const Caches& caches();

}  // namespace normfast
