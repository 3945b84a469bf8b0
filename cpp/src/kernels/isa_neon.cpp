#include "simd/neon.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsNeon = table_of("neon");

}  // namespace normfast
