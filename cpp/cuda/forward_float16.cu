#include "cuda/forward.cuh"

namespace normfast::cuda {

template void forward<Half>(Task&, void*);

}  // namespace normfast::cuda
