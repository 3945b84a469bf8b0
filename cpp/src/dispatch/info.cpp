#include "normfast/info.hpp"

#include "dispatch/caches.hpp"
#include "dispatch/dispatch.hpp"
#include "normfast/version.hpp"
#include "parallel/parallel.hpp"

namespace normfast {
namespace {

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
          caches().l1d,
          caches().l2,
          caches().l3};
}

}  // namespace normfast
