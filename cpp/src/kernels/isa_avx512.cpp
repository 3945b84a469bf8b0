#include "simd/avx512.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsAvx512 = {"avx512", kernels_of<float>(),
                                                     kernels_of<double>()};

}  // namespace normfast
