// The DLPack ABI, as far as it is read here: https://dmlc.github.io/dlpack.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>

#include "normfast/normfast.hpp"

namespace normfast::python::dlpack {

struct Device {
  int32_t type;
  int32_t id;
};
inline constexpr int32_t kCpu = 1, kCuda = 2, kCudaManaged = 13;
inline constexpr bool is_gpu(int32_t type) { return type == kCuda || type == kCudaManaged; }

enum Code : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBFloat = 4, kBool = 6 };

struct DataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // elements; null: C order
  uint64_t byte_offset;
};

// What a capsule named "dltensor" holds.
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

// And one named "dltensor_versioned".
struct ManagedVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  Tensor tensor;
};
inline constexpr uint64_t kReadOnly = 1;

// What a capsule of either name holds; null: of an unknown version. Whether its memory may be
// written: capsules of old do not say.
const Tensor* tensor_in(pybind11::handle capsule, bool& writable);

std::optional<DType> type_of(DataType type);

// Memory, shape and strides of a tensor whose dtype is this and whose dimensions are not too many.
void fill_view(const Tensor& tensor, DType dtype, View& view);

}  // namespace normfast::python::dlpack
