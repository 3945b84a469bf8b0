#include "cuda/forward.cuh"

namespace normfast::cuda {

template void forward<float>(Task&, void*);

}  // namespace normfast::cuda
