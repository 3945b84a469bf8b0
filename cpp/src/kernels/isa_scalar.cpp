#include "simd/scalar.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsScalar = {"scalar", kernels_of<float>(),
                                                     kernels_of<double>()};

}  // namespace normfast
