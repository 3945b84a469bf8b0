// The virtual vector on AArch64 NEON: four registers each. The contract is in scalar.hpp.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "simd/half.hpp"

namespace normfast {
namespace {

// ---- one register -----------------------------------------------------------------------------

float32x4_t fill(float value) { return vdupq_n_f32(value); }
float64x2_t fill(double value) { return vdupq_n_f64(value); }

float32x4_t read(const float* p) { return vld1q_f32(p); }
float64x2_t read(const double* p) { return vld1q_f64(p); }
void write(float32x4_t v, float* p) { vst1q_f32(p, v); }
void write(float64x2_t v, double* p) { vst1q_f64(p, v); }

// Four bytes to floats.
float32x4_t read(const uint8_t* p) {
  uint32_t bits;
  std::memcpy(&bits, p, sizeof bits);
  const uint16x8_t wide = vmovl_u8(vcreate_u8(bits));
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
}

// Four numbers of sixteen bits to and from floats.
uint16x4_t read_bits(const void* p) {
  uint16x4_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

float32x4_t read(const Half* p) { return vcvt_f32_f16(vreinterpret_f16_u16(read_bits(p))); }

float32x4_t read(const BFloat16* p) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(read_bits(p)), 16));
}

void write(float32x4_t v, Half* p) {
  const uint16x4_t bits = vreinterpret_u16_f16(vcvt_f16_f32(v));
  std::memcpy(p, &bits, sizeof bits);
}

void write(float32x4_t v, BFloat16* p) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(vdupq_n_u32(0x7fff), odd));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  const uint16x4_t upper = vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16);
  std::memcpy(p, &upper, sizeof upper);
}

// The lanes below `count`, as a mask.
uint32x4_t first(int64_t count, float32x4_t) {
  const int32x4_t lanes = {0, 1, 2, 3};
  return vcltq_s32(lanes, vdupq_n_s32(static_cast<int32_t>(count)));
}

uint64x2_t first(int64_t count, float64x2_t) {
  const int64x2_t lanes = {0, 1};
  return vcltq_s64(lanes, vdupq_n_s64(count));
}

float32x4_t keep(float32x4_t v, int64_t count) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), first(count, v)));
}

float64x2_t keep(float64x2_t v, int64_t count) {
  return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(v), first(count, v)));
}

float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
float64x2_t fma(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }
float32x4_t abs(float32x4_t a) { return vabsq_f32(a); }
float64x2_t abs(float64x2_t a) { return vabsq_f64(a); }

// As integers, the bits of non-negative floats are in the floats' own order, NaN last.
float32x4_t max_magnitude(float32x4_t a, float32x4_t b) {
  return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b)));
}

float64x2_t max_magnitude(float64x2_t a, float64x2_t b) {
  return vbslq_f64(vcgtq_s64(vreinterpretq_s64_f64(b), vreinterpretq_s64_f64(a)), b, a);
}

// Not the instructions for maximum and minimum, which prefer +0 to -0 and any NaN to a number.
float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
float64x2_t larger(float64x2_t a, float64x2_t b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
float32x4_t smaller(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
float64x2_t smaller(float64x2_t a, float64x2_t b) { return vbslq_f64(vcltq_f64(a, b), a, b); }

float32x4_t where_negative(float32x4_t by, float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(by)), a, b);
}

float64x2_t where_negative(float64x2_t by, float64x2_t a, float64x2_t b) {
  return vbslq_f64(vcltzq_s64(vreinterpretq_s64_f64(by)), a, b);
}

float32x4_t times_power_of_two(float32x4_t a, float32x4_t t) {
  const uint32x4_t k = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), k));
}

float64x2_t times_power_of_two(float64x2_t a, float64x2_t t) {
  const uint64x2_t k = vshlq_n_u64(vreinterpretq_u64_f64(t), 52);
  return vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a), k));
}

// ---- four of them -----------------------------------------------------------------------------

// What an operation gives for each of the four. (+ - * / of registers are the compilers' own.)
template <class V, class Operation, class... Same>
V each(Operation operation, V a, Same... b) {
  return {{operation(a.v[0], b.v[0]...), operation(a.v[1], b.v[1]...), operation(a.v[2], b.v[2]...),
           operation(a.v[3], b.v[3]...)}};
}

template <class T, class Register>
struct Four {
  using Element = T;
  static constexpr int kRegisters = 8, kEach = 16 / sizeof(T), kLanes = 4 * kEach;
  Register v[4];

  static Four set(T value) {
    const Register r = fill(value);
    return {{r, r, r, r}};
  }
  template <class S>
  static Four load(const S* p) {
    return {{read(p), read(p + kEach), read(p + 2 * kEach), read(p + 3 * kEach)}};
  }
  template <class S>
  static Four load(const S* p, int64_t count) {
    S some[kLanes] = {};
    std::memcpy(some, p, static_cast<std::size_t>(count) * sizeof(S));
    return load(some);
  }
  template <class S>
  static Four load(const S* p, int64_t first, int64_t last) {
    S some[kLanes] = {};
    std::memcpy(some + first, p + first, static_cast<std::size_t>(last - first) * sizeof(S));
    return load(some);
  }
  template <class S>
  void store(S* p, int64_t first, int64_t last) const {
    S some[kLanes];
    store(some);
    std::memcpy(p + first, some + first, static_cast<std::size_t>(last - first) * sizeof(S));
  }
  template <class S>
  void store(S* p) const {
    for (int i = 0; i < 4; ++i) write(v[i], p + i * kEach);
  }
  template <class S>
  void store(S* p, int64_t count) const {
    S some[kLanes];
    store(some);
    std::memcpy(p, some, static_cast<std::size_t>(count) * sizeof(S));
  }
  template <class S>
  static void store(S* p, Four a, Four b) {
    a.store(p);
    b.store(p + kLanes);
  }
  // There are no stores past the cache that would leave it alone; these are the ones there are.
  template <class S>
  void stream(S* p) const {
    store(p);
  }
  template <class S>
  static void stream(S* p, Four a, Four b) {
    store(p, a, b);
  }
  friend Four operator+(Four a, Four b) {
    return each([](auto p, auto q) { return p + q; }, a, b);
  }
  friend Four operator-(Four a, Four b) {
    return each([](auto p, auto q) { return p - q; }, a, b);
  }
  friend Four operator*(Four a, Four b) {
    return each([](auto p, auto q) { return p * q; }, a, b);
  }
  friend Four operator/(Four a, Four b) {
    return each([](auto p, auto q) { return p / q; }, a, b);
  }
  friend Four fma(Four a, Four b, Four c) {
    return each([](auto p, auto q, auto r) { return fma(p, q, r); }, a, b, c);
  }
  friend Four abs(Four a) {
    return each([](auto p) { return abs(p); }, a);
  }
  friend Four max_magnitude(Four a, Four b) {
    return each([](auto p, auto q) { return max_magnitude(p, q); }, a, b);
  }
  friend Four larger(Four a, Four b) {
    return each([](auto p, auto q) { return larger(p, q); }, a, b);
  }
  friend Four smaller(Four a, Four b) {
    return each([](auto p, auto q) { return smaller(p, q); }, a, b);
  }
  friend Four where_negative(Four by, Four a, Four b) {
    return each([](auto p, auto q, auto r) { return where_negative(p, q, r); }, by, a, b);
  }
  friend Four times_power_of_two(Four a, Four t) {
    return each([](auto p, auto k) { return times_power_of_two(p, k); }, a, t);
  }
  friend Four join(Four a, Four b, int64_t count) {
    T some[kLanes];
    b.store(some);
    a.store(some, count);
    return load(some);
  }
  friend Four in_register(Four a) { return a; }
  friend Four keep(Four a, int64_t count) {
    return {{keep(a.v[0], count), keep(a.v[1], count - kEach), keep(a.v[2], count - 2 * kEach),
             keep(a.v[3], count - 3 * kEach)}};
  }
};

using F32 = Four<float, float32x4_t>;
using F64 = Four<double, float64x2_t>;

F64 where_nonzero(F64 by, F64 a) {
  const auto kept = [](float64x2_t p, float64x2_t q) {
    return vreinterpretq_f64_u64(vbicq_u64(vreinterpretq_u64_f64(q), vceqzq_f64(p)));
  };
  return each(kept, by, a);
}

F64 where_selected(const uint8_t* by, F64 a) {
  const uint8x8_t bytes = vld1_u8(by);
  const int16x8_t selected = vmovl_s8(vreinterpret_s8_u8(vtst_u8(bytes, bytes)));
  const int32x4_t lo = vmovl_s16(vget_low_s16(selected)), hi = vmovl_high_s16(selected);
  const auto kept = [](float64x2_t v, int64x2_t where) {
    return vreinterpretq_f64_s64(vandq_s64(vreinterpretq_s64_f64(v), where));
  };
  return {{kept(a.v[0], vmovl_s32(vget_low_s32(lo))), kept(a.v[1], vmovl_high_s32(lo)),
           kept(a.v[2], vmovl_s32(vget_low_s32(hi))), kept(a.v[3], vmovl_high_s32(hi))}};
}
F64 where_selected(const uint8_t* by, F64 a, int64_t count) {
  uint8_t bytes[8] = {};
  for (int64_t i = 0; i < count && i < 8; ++i) bytes[i] = by[i];
  return where_selected(bytes, a);
}

void fence() {}

F64 widen(float32x4_t a, float32x4_t b) {
  return {{vcvt_f64_f32(vget_low_f32(a)), vcvt_high_f64_f32(a), vcvt_f64_f32(vget_low_f32(b)),
           vcvt_high_f64_f32(b)}};
}

F64 load_f64(const float* p) { return widen(vld1q_f32(p), vld1q_f32(p + 4)); }

F64 widen_low(F32 a) { return widen(a.v[0], a.v[1]); }
F64 widen_high(F32 a) { return widen(a.v[2], a.v[3]); }
F64 fold(F32 a) { return widen(a.v[0] + a.v[2], a.v[1] + a.v[3]); }

// Lanes i, i + 2, i + 4 and i + 6.
float64x2_t halves(F64 a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }

double sum(F64 a) { return vpaddd_f64(halves(a)); }

F64 sums(const F64 (&a)[8]) {
  const auto two = [&](int i) { return vpaddq_f64(halves(a[i]), halves(a[i + 1])); };
  return {{two(0), two(2), two(4), two(6)}};
}

}  // namespace
}  // namespace normfast
