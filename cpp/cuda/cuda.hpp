// The operations on arrays in a GPU's memory. Arguments are those of normfast.hpp, and so are the
// errors; pointers are the device's, those of `statistics` too. Arrays are contiguous or
// channels-last, out, residual, add and sum as x; x is float32, float16 or bfloat16.
//
// A call queues its kernels on the stream and returns. It waits for nothing and takes what memory
// it needs from `allocate`, before the first kernel, so that it can be captured in a graph.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "normfast/normfast.hpp"

namespace normfast::cuda {

// What CUDA itself reports; and that there is no driver or no device.
struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Launch {
  int device = 0;
  void* stream = nullptr;  // cudaStream_t
  // Memory for as long as the stream works on the call, aligned to 256 bytes.
  std::function<void*(int64_t bytes)> allocate;
};

void mean_var(const View& x, Axes reduced, const MeanVar& options, const Launch& launch);
void layer_norm(const View& x, Axes reduced, const LayerNorm& options, const Launch& launch);
void rms_norm(const View& x, Axes reduced, const RmsNorm& options, const Launch& launch);
void batch_norm(const View& x, Axes channels, const BatchNorm& options, const Launch& launch);
void instance_norm(const View& x, int channel_axis, const InstanceNorm& options,
                   const Launch& launch);
void group_norm(const View& x, int64_t num_groups, int channel_axis, const GroupNorm& options,
                const Launch& launch);
void normalize(const View& x, Axes reduced, const Normalize& options, const Launch& launch);
void weight_norm(const View& v, const View& g, Axes channels, const WeightNorm& options,
                 const Launch& launch);
void standardize(const View& x, Axes reduced, const Standardize& options, const Launch& launch);

struct Device {
  std::string name;
  std::string architecture;  // "sm_90"
  int64_t memory;            // bytes
};

struct DeviceInfo {
  std::vector<std::string> architectures;  // that were built
  std::string runtime;
  std::string driver;  // the newest runtime it runs; empty: none
  std::vector<Device> devices;
  std::string why;  // there is no device, because
  bool emulated;
};

DeviceInfo device_info();

// Makes a stream wait for what is queued on another; nothing waits here.
void wait(int device, void* stream, void* other);

// The GPU that memory is of; -1: none.
int device_of(const void* memory);

}  // namespace normfast::cuda
