#include "dlpack.hpp"

#include <algorithm>

namespace normfast::python::dlpack {

const Tensor* tensor_in(pybind11::handle capsule, bool& writable) {
  writable = false;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    const auto* managed = static_cast<const ManagedVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    writable = !(managed->flags & kReadOnly);
    return managed->major == 1 ? &managed->tensor : nullptr;
  }
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    return &static_cast<const Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor;
  }
  return nullptr;
}

std::optional<DType> type_of(DataType t) {
  if (t.lanes != 1) return std::nullopt;
  using enum DType;
  switch (t.code) {
    case dlpack::kFloat:
      if (t.bits == 32) return kFloat32;
      if (t.bits == 64) return kFloat64;
      if (t.bits == 16) return kFloat16;
      return std::nullopt;
    case dlpack::kBFloat:
      if (t.bits == 16) return kBFloat16;
      return std::nullopt;
    case dlpack::kUInt:
      if (t.bits == 8) return kUInt8;
      if (t.bits == 16) return kUInt16;
      return std::nullopt;
    case dlpack::kInt:
      if (t.bits == 8) return kInt8;
      if (t.bits == 16) return kInt16;
      if (t.bits == 32) return kInt32;
      if (t.bits == 64) return kInt64;
      return std::nullopt;
    case dlpack::kBool:
      if (t.bits == 8) return kBool;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

void fill_view(const Tensor& tensor, DType dtype, View& view) {
  view.dtype = dtype;
  view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  view.ndim = tensor.ndim;
  int64_t step = size_of(dtype);
  for (int i = view.ndim - 1; i >= 0; --i) {
    view.shape[i] = tensor.shape[i];
    view.strides[i] = tensor.strides ? tensor.strides[i] * size_of(dtype) : step;
    step *= std::max<int64_t>(view.shape[i], 1);
  }
}

}  // namespace normfast::python::dlpack
