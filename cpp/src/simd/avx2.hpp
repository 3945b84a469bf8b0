// The virtual vector on AVX2 + FMA: two registers each. The contract is in scalar.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "simd/half.hpp"

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

__m256i between32(int64_t first, int64_t last, int half) {
  return _mm256_andnot_si256(mask32(first, half), mask32(last, half));
}

__m256i between64(int64_t first, int64_t last, int half) {
  return _mm256_andnot_si256(mask64(first, half), mask64(last, half));
}

// Eight bytes to floats.
__m256 widen8(const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

// Eight numbers of sixteen bits to and from floats.
__m256 widen8(const Half* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

__m256 widen8(const BFloat16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

// Sixteen of them back.
__m256i narrow16(const Half*, __m256 lo, __m256 hi) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return _mm256_set_m128i(_mm256_cvtps_ph(hi, kNearest), _mm256_cvtps_ph(lo, kNearest));
}

__m256i narrow16(const BFloat16*, __m256 lo, __m256 hi) {
  const auto round = [](__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    const __m256i rounded =
        _mm256_blendv_epi8(_mm256_add_epi32(bits, half), quiet, _mm256_castps_si256(nan));
    return _mm256_srli_epi32(rounded, 16);
  };
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(round(lo), round(hi)), 0xd8);
}

struct F32 {
  using Element = float;
  static constexpr int kLanes = 16, kRegisters = 8;
  __m256 lo, hi;

  static F32 set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static F32 load(const float* p, int64_t count) {
    return {_mm256_maskload_ps(p, mask32(count, 0)), _mm256_maskload_ps(p + 8, mask32(count, 1))};
  }
  static F32 load(const float* p, int64_t first, int64_t last) {
    return {_mm256_maskload_ps(p, between32(first, last, 0)),
            _mm256_maskload_ps(p + 8, between32(first, last, 1))};
  }
  void store(float* p, int64_t first, int64_t last) const {
    _mm256_maskstore_ps(p, between32(first, last, 0), lo);
    _mm256_maskstore_ps(p + 8, between32(first, last, 1), hi);
  }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
  void stream(float* p) const {
    _mm256_stream_ps(p, lo);
    _mm256_stream_ps(p + 8, hi);
  }
  template <class H>
  static void store(H* p, F32 a, F32 b) {
    a.store(p);
    b.store(p + 16);
  }
  template <class H>
  static void stream(H* p, F32 a, F32 b) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), narrow16(p, a.lo, a.hi));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p + 16), narrow16(p, b.lo, b.hi));
  }
  void store(float* p, int64_t count) const {
    _mm256_maskstore_ps(p, mask32(count, 0), lo);
    _mm256_maskstore_ps(p + 8, mask32(count, 1), hi);
  }
  template <class H>
    requires(sizeof(H) <= 2)
  static F32 load(const H* p) {
    return {widen8(p), widen8(p + 8)};
  }
  template <class H>
    requires(sizeof(H) <= 2)
  static F32 load(const H* p, int64_t count) {
    H some[16] = {};
    std::memcpy(some, p, static_cast<std::size_t>(count) * sizeof(H));
    return load(some);
  }
  template <class H>
    requires(sizeof(H) <= 2)
  static F32 load(const H* p, int64_t first, int64_t last) {
    H some[16] = {};
    std::memcpy(some + first, p + first, static_cast<std::size_t>(last - first) * sizeof(H));
    return load(some);
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p, int64_t first, int64_t last) const {
    H some[16];
    store(some);
    std::memcpy(p + first, some + first, static_cast<std::size_t>(last - first) * sizeof(H));
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow16(p, lo, hi));
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p, int64_t count) const {
    H some[16];
    store(some);
    std::memcpy(p, some, static_cast<std::size_t>(count) * sizeof(H));
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
  friend F32 operator/(F32 a, F32 b) {
    return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
  }
};

struct F64 {
  using Element = double;
  static constexpr int kLanes = 8, kRegisters = 8;
  __m256d lo, hi;

  static F64 set(double value) { return {_mm256_set1_pd(value), _mm256_set1_pd(value)}; }
  static F64 load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
  static F64 load(const double* p, int64_t count) {
    return {_mm256_maskload_pd(p, mask64(count, 0)), _mm256_maskload_pd(p + 4, mask64(count, 1))};
  }
  static F64 load(const double* p, int64_t first, int64_t last) {
    return {_mm256_maskload_pd(p, between64(first, last, 0)),
            _mm256_maskload_pd(p + 4, between64(first, last, 1))};
  }
  void store(double* p, int64_t first, int64_t last) const {
    _mm256_maskstore_pd(p, between64(first, last, 0), lo);
    _mm256_maskstore_pd(p + 4, between64(first, last, 1), hi);
  }
  void store(double* p) const {
    _mm256_storeu_pd(p, lo);
    _mm256_storeu_pd(p + 4, hi);
  }
  void stream(double* p) const {
    _mm256_stream_pd(p, lo);
    _mm256_stream_pd(p + 4, hi);
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
  friend F64 operator/(F64 a, F64 b) {
    return {_mm256_div_pd(a.lo, b.lo), _mm256_div_pd(a.hi, b.hi)};
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

F32 in_register(F32 a) {
  asm("" : "+x"(a.lo), "+x"(a.hi));
  return a;
}
F64 in_register(F64 a) {
  asm("" : "+x"(a.lo), "+x"(a.hi));
  return a;
}

void fence() { _mm_sfence(); }

F32 larger(F32 a, F32 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
F64 larger(F64 a, F64 b) { return {_mm256_max_pd(a.lo, b.lo), _mm256_max_pd(a.hi, b.hi)}; }
F32 smaller(F32 a, F32 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
F64 smaller(F64 a, F64 b) { return {_mm256_min_pd(a.lo, b.lo), _mm256_min_pd(a.hi, b.hi)}; }

F32 where_negative(F32 by, F32 a, F32 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, by.lo), _mm256_blendv_ps(b.hi, a.hi, by.hi)};
}

F64 where_negative(F64 by, F64 a, F64 b) {
  return {_mm256_blendv_pd(b.lo, a.lo, by.lo), _mm256_blendv_pd(b.hi, a.hi, by.hi)};
}

F64 where_nonzero(F64 by, F64 a) {
  const __m256d zero = _mm256_setzero_pd();
  return {_mm256_and_pd(a.lo, _mm256_cmp_pd(by.lo, zero, _CMP_NEQ_UQ)),
          _mm256_and_pd(a.hi, _mm256_cmp_pd(by.hi, zero, _CMP_NEQ_UQ))};
}

F64 where_selected(const uint8_t* by, F64 a) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(by));
  const __m128i not_selected = _mm_cmpeq_epi8(bytes, _mm_setzero_si128());
  const auto kept = [](__m256d v, __m128i unless) {
    return _mm256_andnot_pd(_mm256_castsi256_pd(_mm256_cvtepi8_epi64(unless)), v);
  };
  return {kept(a.lo, not_selected), kept(a.hi, _mm_srli_si128(not_selected, 4))};
}
F64 where_selected(const uint8_t* by, F64 a, int64_t count) {
  uint8_t bytes[8] = {};
  for (int64_t i = 0; i < count && i < 8; ++i) bytes[i] = by[i];
  return where_selected(bytes, a);
}

F32 times_power_of_two(F32 a, F32 t) {
  const auto times = [](__m256 v, __m256 k) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(v), _mm256_slli_epi32(_mm256_castps_si256(k), 23)));
  };
  return {times(a.lo, t.lo), times(a.hi, t.hi)};
}

F64 times_power_of_two(F64 a, F64 t) {
  const auto times = [](__m256d v, __m256d k) {
    return _mm256_castsi256_pd(
        _mm256_add_epi64(_mm256_castpd_si256(v), _mm256_slli_epi64(_mm256_castpd_si256(k), 52)));
  };
  return {times(a.lo, t.lo), times(a.hi, t.hi)};
}

F32 join(F32 a, F32 b, int64_t count) {
  const auto half = [&](__m256 p, __m256 q, int i) {
    return _mm256_blendv_ps(q, p, _mm256_castsi256_ps(mask32(count, i)));
  };
  return {half(a.lo, b.lo, 0), half(a.hi, b.hi, 1)};
}
F64 join(F64 a, F64 b, int64_t count) {
  const auto half = [&](__m256d p, __m256d q, int i) {
    return _mm256_blendv_pd(q, p, _mm256_castsi256_pd(mask64(count, i)));
  };
  return {half(a.lo, b.lo, 0), half(a.hi, b.hi, 1)};
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

F64 load_f64(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))};
}

F64 widen_low(F32 a) { return widen(a.lo); }
F64 widen_high(F32 a) { return widen(a.hi); }
F64 fold(F32 a) { return widen(_mm256_add_ps(a.lo, a.hi)); }

double sum(F64 a) {
  const __m256d four = _mm256_add_pd(a.lo, a.hi);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

F64 sums(const F64 (&a)[8]) {
  const auto four = [&](int first) {
    const auto two = [&](int i) {
      const __m256d p = _mm256_add_pd(a[i].lo, a[i].hi),
                    q = _mm256_add_pd(a[i + 1].lo, a[i + 1].hi);
      return _mm256_add_pd(_mm256_permute2f128_pd(p, q, 0x20), _mm256_permute2f128_pd(p, q, 0x31));
    };
    const __m256d p = two(first), q = two(first + 2);
    const __m256d all = _mm256_add_pd(_mm256_unpacklo_pd(p, q), _mm256_unpackhi_pd(p, q));
    return _mm256_permute4x64_pd(all, 0xd8);
  };
  return {four(0), four(4)};
}

}  // namespace
}  // namespace normfast
