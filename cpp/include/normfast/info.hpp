// What this build and this machine are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "normfast/export.h"

namespace normfast {

struct Info {
  std::string version;
  std::string cpu;
  std::string isa;
  std::vector<std::string> isas_available;
  std::vector<std::string> isas_built;
  bool openmp;
  bool cuda;
  int threads;  // of a call that does not say
  std::string threads_why;
  std::int64_t l1d, l2, l3;  // bytes; 0: unknown
};

// Throws ValueError where NORMFAST_ISA names what this processor cannot run.
NORMFAST_API Info info();

// Changes the kernels of the whole process, for tests and measurements. Throws ValueError.
NORMFAST_API void use_isa(const std::string& name);

// The yardstick of measurements: copies floats by vectors, or past the cache.
NORMFAST_API void copy(const float* x, float* y, std::int64_t count, bool past_cache,
                       int num_threads);

}  // namespace normfast
