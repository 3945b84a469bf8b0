#include "simd/avx512.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsAvx512 = table_of("avx512");

}  // namespace normfast
