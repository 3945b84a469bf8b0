// A task on a device.
#pragma once

#include "cuda/cuda.hpp"
#include "cuda/task.hpp"

namespace normfast::cuda {

// Queues the kernels of the task.
void run(Task& task, const Launch& launch);

// Those of one element type of x: from x to y, statistics and moments.
template <class T>
void forward(Task& task, void* stream);

extern template void forward<float>(Task&, void*);
extern template void forward<Half>(Task&, void*);
extern template void forward<BFloat16>(Task&, void*);

// Makes a device the current one, and that before it again. Throws CudaError.
class OnDevice {
 public:
  explicit OnDevice(int device);
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice();

 private:
  [[maybe_unused]] int before_ = 0;  // an emulation has one device
};

}  // namespace normfast::cuda
