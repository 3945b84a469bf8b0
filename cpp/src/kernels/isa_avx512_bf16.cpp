#include "simd/avx512.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const BFloat16Kernels kKernelsAvx512Bf16 = bfloat16_kernels();

}  // namespace normfast
