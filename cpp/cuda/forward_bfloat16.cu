#include "cuda/forward.cuh"

namespace normfast::cuda {

template void forward<BFloat16>(Task&, void*);

}  // namespace normfast::cuda
