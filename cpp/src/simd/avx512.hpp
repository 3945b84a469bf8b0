// The virtual vector on AVX-512 (F, BW, DQ, VL): one register each. The contract is in scalar.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace normfast {
namespace {

__mmask16 first16(int64_t count) { return static_cast<__mmask16>(_bzhi_u32(0xffffu, count)); }
__mmask8 first8(int64_t count) { return static_cast<__mmask8>(_bzhi_u32(0xffu, count)); }

struct F32 {
  using Element = float;
  static constexpr int kLanes = 16;
  __m512 v;

  static F32 set(float value) { return {_mm512_set1_ps(value)}; }
  static F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32 load(const float* p, int64_t count) {
    return {_mm512_maskz_loadu_ps(first16(count), p)};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int64_t count) const { _mm512_mask_storeu_ps(p, first16(count), v); }
  friend F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
};

struct F64 {
  using Element = double;
  static constexpr int kLanes = 8;
  __m512d v;

  static F64 set(double value) { return {_mm512_set1_pd(value)}; }
  static F64 load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static F64 load(const double* p, int64_t count) {
    return {_mm512_maskz_loadu_pd(first8(count), p)};
  }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  void store(double* p, int64_t count) const { _mm512_mask_storeu_pd(p, first8(count), v); }
  friend F64 operator+(F64 a, F64 b) { return {_mm512_add_pd(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {_mm512_sub_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm512_mul_pd(a.v, b.v)}; }
};

F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
F64 fma(F64 a, F64 b, F64 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
F64 abs(F64 a) { return {_mm512_abs_pd(a.v)}; }

// As integers, the bits of non-negative floats are in the floats' own order, NaN last.
F32 max_magnitude(F32 a, F32 b) {
  return {
      _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v)))};
}

F64 max_magnitude(F64 a, F64 b) {
  return {
      _mm512_castsi512_pd(_mm512_max_epi64(_mm512_castpd_si512(a.v), _mm512_castpd_si512(b.v)))};
}

F32 keep(F32 a, int64_t count) { return {_mm512_maskz_mov_ps(first16(count), a.v)}; }
F64 keep(F64 a, int64_t count) { return {_mm512_maskz_mov_pd(first8(count), a.v)}; }

__m256 low(F32 a) { return _mm512_castps512_ps256(a.v); }
__m256 high(F32 a) { return _mm512_extractf32x8_ps(a.v, 1); }

F64 widen_low(F32 a) { return {_mm512_cvtps_pd(low(a))}; }
F64 widen_high(F32 a) { return {_mm512_cvtps_pd(high(a))}; }
F64 fold(F32 a) { return {_mm512_cvtps_pd(_mm256_add_ps(low(a), high(a)))}; }

double sum(F64 a) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace
}  // namespace normfast
