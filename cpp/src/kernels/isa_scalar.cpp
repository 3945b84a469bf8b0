#include "simd/scalar.hpp"

#include "kernels/table.inl"

namespace normfast {

extern constinit const KernelTable kKernelsScalar = table_of("scalar");

}  // namespace normfast
