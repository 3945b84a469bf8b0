// CUDA's model of execution on one thread of the CPU: the threads of a block are fibres that run in
// turn from barrier to barrier, blocks follow one another. Enough for the kernels of this project,
// and strict: a barrier that some threads of a block do not reach stops the process.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>

#include "cuda/task.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __grid_constant__
#define __launch_bounds__(...)

struct float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};

namespace normfast::cuda {

struct Index {
  unsigned x = 0;
};

namespace emulation {

// The orders in which blocks, and threads between barriers, may run; results must not depend on it.
extern bool backwards;

[[noreturn]] void stop(const char* what);
int64_t launches();  // how many kernels ran

void run(int64_t blocks, int threads, const std::function<void()>& body);
void wait_for_block();
bool any_of_block(bool value);
bool any_of_warp(bool value);
uint64_t exchange(uint64_t value, int from);  // what lane `from` of the warp gave

template <class T>
T shuffled(T value, int from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, from);
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulation

extern Index threadIdx, blockIdx, blockDim, gridDim;

inline void __syncthreads() { emulation::wait_for_block(); }
inline int __syncthreads_or(int value) { return emulation::any_of_block(value != 0); }
inline int __any_sync(unsigned, int value) { return emulation::any_of_warp(value != 0); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffled(value, static_cast<int>(threadIdx.x % 32) ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int by) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return emulation::shuffled(value, lane + by < 32 ? lane + by : lane);
}

template <class T>
void queue(void (*kernel)(T), Grid grid, const T& task, void*) {
  emulation::run(grid.blocks, grid.threads, [&] { kernel(task); });
}

}  // namespace normfast::cuda
