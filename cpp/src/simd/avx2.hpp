// The virtual vector on AVX2 + FMA: two registers each. The contract is in scalar.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace normfast {
namespace {

// Loading at kMask - count gives a mask whose first `count` lanes (of 16, or 8 doubles) are set.
alignas(64) constexpr int32_t kMask32[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                             -1, -1, -1, -1, -1, 0,  0,  0,  0,  0,  0,
                                             0,  0,  0,  0,  0,  0,  0,  0,  0,  0};
alignas(64) constexpr int64_t kMask64[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                             0,  0,  0,  0,  0,  0,  0,  0};

__m256i mask32(int64_t count, int half) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask32 + 16 - count + 8 * half));
}

__m256i mask64(int64_t count, int half) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask64 + 8 - count + 4 * half));
}

struct F32 {
  using Element = float;
  static constexpr int kLanes = 16;
  __m256 lo, hi;

  static F32 set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static F32 load(const float* p, int64_t count) {
    return {_mm256_maskload_ps(p, mask32(count, 0)), _mm256_maskload_ps(p + 8, mask32(count, 1))};
  }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
  void store(float* p, int64_t count) const {
    _mm256_maskstore_ps(p, mask32(count, 0), lo);
    _mm256_maskstore_ps(p + 8, mask32(count, 1), hi);
  }
  friend F32 operator+(F32 a, F32 b) {
    return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
  }
  friend F32 operator-(F32 a, F32 b) {
    return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
  }
  friend F32 operator*(F32 a, F32 b) {
    return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
  }
};

struct F64 {
  using Element = double;
  static constexpr int kLanes = 8;
  __m256d lo, hi;

  static F64 set(double value) { return {_mm256_set1_pd(value), _mm256_set1_pd(value)}; }
  static F64 load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
  static F64 load(const double* p, int64_t count) {
    return {_mm256_maskload_pd(p, mask64(count, 0)), _mm256_maskload_pd(p + 4, mask64(count, 1))};
  }
  void store(double* p) const {
    _mm256_storeu_pd(p, lo);
    _mm256_storeu_pd(p + 4, hi);
  }
  void store(double* p, int64_t count) const {
    _mm256_maskstore_pd(p, mask64(count, 0), lo);
    _mm256_maskstore_pd(p + 4, mask64(count, 1), hi);
  }
  friend F64 operator+(F64 a, F64 b) {
    return {_mm256_add_pd(a.lo, b.lo), _mm256_add_pd(a.hi, b.hi)};
  }
  friend F64 operator-(F64 a, F64 b) {
    return {_mm256_sub_pd(a.lo, b.lo), _mm256_sub_pd(a.hi, b.hi)};
  }
  friend F64 operator*(F64 a, F64 b) {
    return {_mm256_mul_pd(a.lo, b.lo), _mm256_mul_pd(a.hi, b.hi)};
  }
};

F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

F64 fma(F64 a, F64 b, F64 c) {
  return {_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)};
}

F32 abs(F32 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

F64 abs(F64 a) {
  const __m256d sign = _mm256_set1_pd(-0.0);
  return {_mm256_andnot_pd(sign, a.lo), _mm256_andnot_pd(sign, a.hi)};
}

// As integers, the bits of non-negative floats are in the floats' own order, NaN last.
F32 max_magnitude(F32 a, F32 b) {
  const auto larger = [](__m256 p, __m256 q) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(p), _mm256_castps_si256(q)));
  };
  return {larger(a.lo, b.lo), larger(a.hi, b.hi)};
}

F64 max_magnitude(F64 a, F64 b) {
  const auto larger = [](__m256d p, __m256d q) {
    const __m256i greater = _mm256_cmpgt_epi64(_mm256_castpd_si256(q), _mm256_castpd_si256(p));
    return _mm256_blendv_pd(p, q, _mm256_castsi256_pd(greater));
  };
  return {larger(a.lo, b.lo), larger(a.hi, b.hi)};
}

F32 keep(F32 a, int64_t count) {
  return {_mm256_and_ps(a.lo, _mm256_castsi256_ps(mask32(count, 0))),
          _mm256_and_ps(a.hi, _mm256_castsi256_ps(mask32(count, 1)))};
}

F64 keep(F64 a, int64_t count) {
  return {_mm256_and_pd(a.lo, _mm256_castsi256_pd(mask64(count, 0))),
          _mm256_and_pd(a.hi, _mm256_castsi256_pd(mask64(count, 1)))};
}

F64 widen(__m256 a) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}

F64 widen_low(F32 a) { return widen(a.lo); }
F64 widen_high(F32 a) { return widen(a.hi); }
F64 fold(F32 a) { return widen(_mm256_add_ps(a.lo, a.hi)); }

double sum(F64 a) {
  const __m256d four = _mm256_add_pd(a.lo, a.hi);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace
}  // namespace normfast
