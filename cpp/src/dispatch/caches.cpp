#include "dispatch/caches.hpp"

#include <fstream>
#include <string>

namespace normfast {
namespace {

// From sysfs: sysconf asks the processor, which in a virtual machine may tell of its host's.
Caches read_caches() {
  Caches found;
#ifdef __linux__
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index";
  for (int i = 0; i < 8; ++i) {
    const std::string entry = folder + std::to_string(i) + "/";
    int level = 0;
    int64_t size = 0;
    char unit = 0;
    std::string type;
    if (!(std::ifstream(entry + "level") >> level)) break;
    std::ifstream(entry + "type") >> type;
    if (!(std::ifstream(entry + "size") >> size >> unit) || type == "Instruction") continue;
    size *= unit == 'M' ? 1024 * 1024 : 1024;
    if (level == 1) found.l1d = size;
    if (level == 2) found.l2 = size;
    if (level == 3) found.l3 = size;
  }
#endif
  return found;
}

}  // namespace

const Caches& caches() {
  static const Caches found = read_caches();
  return found;
}

}  // namespace normfast
