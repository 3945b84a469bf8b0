// Names of what the public API and the kernels both speak of. Enumerations only: this header is
// seen by files compiled for different instruction sets.
#pragma once

#include <cstdint>

namespace normfast {

enum class DType : std::uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kUInt8,
  kInt8,
  kUInt16,
  kInt16,
  kInt32,
  kInt64,
  kBool,
};
inline constexpr int kDTypes = 11;

// What is applied last. GELU is x * Phi(x); kGeluTanh its usual approximation; SiLU x / (1 + e^-x).
enum class Activation : std::uint8_t { kNone, kRelu, kGelu, kGeluTanh, kSilu };
inline constexpr int kActivations = 5;

}  // namespace normfast
