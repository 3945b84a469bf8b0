#include "simd/avx2.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsAvx2 = table_of("avx2");

}  // namespace normfast
