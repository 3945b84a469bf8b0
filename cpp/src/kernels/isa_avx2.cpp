#include "simd/avx2.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsAvx2 = {"avx2", kernels_of<float>(),
                                                   kernels_of<double>()};

}  // namespace normfast
