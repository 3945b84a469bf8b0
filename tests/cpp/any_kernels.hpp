// Tests that run once an ISA, and what they need to name a kernel by its types.
#pragma once

#include "kernels/kernels.hpp"

#include "support.hpp"

namespace normfast::test {

inline const KernelTable& scalar() { return *built_kernels().front(); }

template <class X>
using Computing = std::conditional_t<std::is_same_v<X, double>, double, float>;

template <class X>
constexpr DType kStored = DType::kFloat32;
template <>
inline constexpr DType kStored<double> = DType::kFloat64;
template <>
inline constexpr DType kStored<Half> = DType::kFloat16;
template <>
inline constexpr DType kStored<BFloat16> = DType::kBFloat16;
template <>
inline constexpr DType kStored<uint8_t> = DType::kUInt8;
template <>
inline constexpr DType kStored<int8_t> = DType::kInt8;
template <>
inline constexpr DType kStored<uint16_t> = DType::kUInt16;
template <>
inline constexpr DType kStored<int16_t> = DType::kInt16;
template <>
inline constexpr DType kStored<int32_t> = DType::kInt32;
template <>
inline constexpr DType kStored<int64_t> = DType::kInt64;

template <class X>
constexpr int kIndex = static_cast<int>(kStored<X>);

// The kernels of a computing type, and those that read a storage type where it lies.
template <class T>
const Kernels<T>& computing(const KernelTable& table) {
  if constexpr (std::is_same_v<T, float>) return table.f32;
  if constexpr (std::is_same_v<T, double>) return table.f64;
}
template <class X>
const DirectKernels<Computing<X>>& direct(const KernelTable& table) {
  return computing<Computing<X>>(table).of(kStored<X>);
}

inline constexpr int kSums = static_cast<int>(Reduction::kSums);

inline std::vector<double> list(const Moments& m) { return {m.count, m.mean, m.mean_lo, m.m2}; }

// body(X()) for each type that kernels compute in, that they read and write, that they only sum.
template <class Body>
void each_computing(Body body) {
  body(float());
  body(double());
}
template <class Body>
void each_storage(Body body) {
  each_computing(body);
  body(Half());
  body(BFloat16());
}
template <class Body>
void each_byte(Body body) {
  body(uint8_t());
  body(int8_t());
}

class AnyKernels : public testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override { NORMFAST_SKIP_UNLESS_RUNS(GetParam()->isa); }
};

inline const auto isa_name = [](const auto& info) { return std::string(info.param->isa); };

}  // namespace normfast::test

#define NORMFAST_FOR_EACH_ISA(suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, testing::ValuesIn(built_kernels()), isa_name)
