// What kernels take from CUDA, or from its emulation on the CPU, which proves their indexing and
// arithmetic. (Not their speed, nor that there are no races between warps: for that there is
// compute-sanitizer, on a GPU.)
#pragma once

#ifdef NORMFAST_CUDA_EMULATED

#include "cuda/emulation/simt.hpp"

#else

#include <cuda_runtime.h>

#include "cuda/cuda.hpp"
#include "cuda/task.hpp"

namespace normfast::cuda {

inline void check(cudaError_t status) {
  if (status != cudaSuccess) throw CudaError(std::string("CUDA: ") + cudaGetErrorString(status));
}

template <class T>
void queue(void (*kernel)(T), Grid grid, const T& task, void* stream) {
  // Kernels walk on by the size of the grid.
  const int64_t blocks = grid.blocks < 0x7fffffff ? grid.blocks : 0x7fffffff;
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(grid.threads), 0,
           static_cast<cudaStream_t>(stream)>>>(task);
  check(cudaGetLastError());
}

}  // namespace normfast::cuda

#endif
