// Devices as the CUDA runtime shows them.
#include <cuda_runtime.h>

#include "cuda/run.hpp"
#include "cuda/simt.hpp"

namespace normfast::cuda {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// What CUDA says of a machine without a driver is that its version is insufficient.
std::string why(cudaError_t status) {
  int version = 0;
  const bool driver = cudaDriverGetVersion(&version) == cudaSuccess && version > 0;
  if (status == cudaErrorInsufficientDriver && !driver) return "there is no NVIDIA driver";
  return cudaGetErrorString(status);
}

// NORMFAST_CUDA_BUILT is CMake's list: "80-real,90"; or a word, as "native": then nvcc knows.
std::vector<std::string> built() {
  std::vector<std::string> names;
  const std::string list = NORMFAST_CUDA_BUILT ",";
  if (list[0] < '0' || list[0] > '9') {
    for (const int number : {__CUDA_ARCH_LIST__}) {
      names.push_back("sm_" + std::to_string(number / 10));
    }
    return names;
  }
  for (std::size_t at = 0, end; (end = list.find(',', at)) != std::string::npos; at = end + 1) {
    const std::string entry = list.substr(at, end - at), number = entry.substr(0, entry.find('-'));
    if (number.empty()) continue;
    if (entry.find("-virtual") == std::string::npos) names.push_back("sm_" + number);
    if (entry.find("-real") == std::string::npos) names.push_back("compute_" + number);
  }
  return names;
}

}  // namespace

OnDevice::OnDevice(int device) {
  cudaError_t status = cudaGetDevice(&before_);
  if (status == cudaSuccess && device != before_) status = cudaSetDevice(device);
  if (status != cudaSuccess) throw CudaError("CUDA: " + why(status));
}

OnDevice::~OnDevice() { cudaSetDevice(before_); }

DeviceInfo device_info() {
  DeviceInfo info;
  info.emulated = false;
  info.architectures = built();
  int version = 0, count = 0;
  if (cudaRuntimeGetVersion(&version) == cudaSuccess) info.runtime = version_text(version);
  if (cudaDriverGetVersion(&version) == cudaSuccess && version > 0) {
    info.driver = version_text(version);
  }
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) info.why = why(status);
  if (status == cudaSuccess && count == 0) info.why = "there is no CUDA device";
  for (int i = 0; i < count && status == cudaSuccess; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    info.devices.push_back({properties.name,
                            "sm_" + std::to_string(properties.major * 10 + properties.minor),
                            static_cast<int64_t>(properties.totalGlobalMem)});
  }
  cudaGetLastError();  // it is told here, and not with the next call
  return info;
}

void wait(int device, void* stream, void* other) {
  const OnDevice on_device(device);
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  cudaError_t status = cudaEventRecord(event, static_cast<cudaStream_t>(other));
  if (status == cudaSuccess) {
    status = cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), event, 0);
  }
  cudaEventDestroy(event);  // once it has come
  check(status);
}

int device_of(const void* memory) {
  cudaPointerAttributes attributes;
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
    cudaGetLastError();
    return -1;
  }
  const bool is_gpus = attributes.type == cudaMemoryTypeDevice ||  //
                       attributes.type == cudaMemoryTypeManaged;
  return is_gpus ? attributes.device : -1;
}

}  // namespace normfast::cuda
