#include "normfast/info.hpp"

#include "dispatch/dispatch.hpp"
#include "normfast/version.hpp"
#include "parallel/parallel.hpp"

#ifdef __linux__
#include <unistd.h>
#endif

namespace normfast {
namespace {

int64_t cache_size([[maybe_unused]] int level) {
#if defined(__linux__) && defined(_SC_LEVEL1_DCACHE_SIZE)
  const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
  const long size = sysconf(names[level - 1]);
  if (size > 0) return size;
#endif
  return 0;
}

std::vector<std::string> names(const std::vector<const KernelTable*>& tables) {
  std::vector<std::string> list;
  for (const KernelTable* table : tables) list.emplace_back(table->isa);
  return list;
}

}  // namespace

Info info() {
  const ThreadPolicy& policy = default_threads();
  return {NORMFAST_VERSION,
          cpu_name(),
          kernels().isa,
          names(available_kernels()),
          names(built_kernels()),
          built_with_openmp(),
          false,
          policy.threads,
          policy.why,
          cache_size(1),
          cache_size(2),
          cache_size(3)};
}

}  // namespace normfast
