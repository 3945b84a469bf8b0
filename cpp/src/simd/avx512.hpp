// The virtual vector on AVX-512 (F, BW, DQ, VL, maybe BF16): one register each. The contract is in
// scalar.hpp.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "simd/half.hpp"

namespace normfast {
namespace {

__mmask16 first16(int64_t count) { return static_cast<__mmask16>(_bzhi_u32(0xffffu, count)); }
__mmask8 first8(int64_t count) { return static_cast<__mmask8>(_bzhi_u32(0xffu, count)); }

__mmask16 between16(int64_t first, int64_t last) {
  return _kandn_mask16(first16(first), first16(last));
}
__mmask8 between8(int64_t first, int64_t last) { return _kandn_mask8(first8(first), first8(last)); }

// Sixteen bytes to floats.
__m512 widen16(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); }

// Sixteen numbers of sixteen bits to and from floats.
__m512 widen16(const Half*, __m256i bits) { return _mm512_cvtph_ps(bits); }
// Each to the upper half of its float.
__m512 widen16(const BFloat16*, __m256i bits) {
  alignas(64) static constexpr uint16_t kUp[32] = {0, 0,  0, 1,  0, 2,  0, 3,  0, 4, 0,
                                                   5, 0,  6, 0,  7, 0,  8, 0,  9, 0, 10,
                                                   0, 11, 0, 12, 0, 13, 0, 14, 0, 15};
  return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_load_si512(kUp),
                                                            _mm512_castsi256_si512(bits)));
}

__m256i narrow16(const Half*, __m512 v) {
  return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

__m512i narrow32(const Half* p, __m512 v, __m512 w) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(narrow16(p, v)), narrow16(p, w), 1);
}

// Rounded to sixteen bits, which are the upper ones.
__m512i round_upper(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i up = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
  const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i rounded = _mm512_mask_add_epi32(up, odd, up, _mm512_set1_epi32(1));
  return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}

__m256i upper16(__m512 v) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_upper(v), 16)); }

#ifdef __AVX512BF16__

// The processor's own rounding takes subnormal numbers for zeros: those are searched for.
bool subnormal(__m512 v) {
  constexpr int kSubnormal = 0x20;
  return _mm512_fpclass_ps_mask(v, kSubnormal) != 0;
}

__m256i narrow16(const BFloat16*, __m512 v) {
  if (subnormal(v)) [[unlikely]]
    return upper16(v);
  return (__m256i)_mm512_cvtneps_pbh(v);
}

// Only where a result is zero can they have been.
__m512i narrow32(const BFloat16* p, __m512 v, __m512 w) {
  const __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(w, v);
  if (_mm512_testn_epi16_mask(rounded, _mm512_set1_epi16(0x7fff))) [[unlikely]] {
    if (subnormal(v) || subnormal(w)) {
      return _mm512_inserti64x4(_mm512_castsi256_si512(narrow16(p, v)), narrow16(p, w), 1);
    }
  }
  return rounded;
}

#else

__m256i narrow16(const BFloat16*, __m512 v) { return upper16(v); }

// Thirty-two at once: the upper half goes up where the sum of the lower one, 0x7fff and the upper
// one's last bit has a carry; half that sum, with its carry on top, is an average.
__m512i narrow32(const BFloat16*, __m512 v, __m512 w) {
  alignas(64) static constexpr uint16_t kUpper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                      23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                      45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  alignas(64) static constexpr uint16_t kLower[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                                      22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42,
                                                      44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
  const auto halves = [](__m512i a, const uint16_t* which, __m512i b) {
    return _mm512_permutex2var_epi16(a, _mm512_load_si512(which), b);
  };
  if (_mm512_cmp_ps_mask(v, w, _CMP_UNORD_Q)) [[unlikely]] {
    return halves(round_upper(v), kUpper, round_upper(w));
  }
  const __m512i a = _mm512_castps_si512(v), b = _mm512_castps_si512(w);
  const __m512i upper = halves(a, kUpper, b);
  constexpr int kAndOr = 0xea;  // (upper & 1) | 0x7ffe
  const __m512i term =
      _mm512_ternarylogic_epi32(upper, _mm512_set1_epi16(1), _mm512_set1_epi16(0x7ffe), kAndOr);
  const __m512i average = _mm512_avg_epu16(halves(a, kLower, b), term);
  return _mm512_add_epi16(upper, _mm512_srli_epi16(average, 15));
}

#endif

struct F32 {
  using Element = float;
  static constexpr int kLanes = 16, kRegisters = 32;
  __m512 v;

  static F32 set(float value) { return {_mm512_set1_ps(value)}; }
  static F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32 load(const float* p, int64_t count) {
    return {_mm512_maskz_loadu_ps(first16(count), p)};
  }
  static F32 load(const float* p, int64_t first, int64_t last) {
    return {_mm512_maskz_loadu_ps(between16(first, last), p)};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void stream(float* p) const { _mm512_stream_ps(p, v); }
  template <class H>
  static void store(H* p, F32 a, F32 b) {
    _mm512_storeu_si512(p, narrow32(p, a.v, b.v));
  }
  template <class H>
  static void stream(H* p, F32 a, F32 b) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), narrow32(p, a.v, b.v));
  }
  void store(float* p, int64_t count) const { _mm512_mask_storeu_ps(p, first16(count), v); }
  void store(float* p, int64_t first, int64_t last) const {
    _mm512_mask_storeu_ps(p, between16(first, last), v);
  }
  template <class H>
    requires(sizeof(H) == 2)
  static F32 load(const H* p) {
    return {widen16(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  template <class H>
    requires(sizeof(H) == 2)
  static F32 load(const H* p, int64_t count) {
    return {widen16(p, _mm256_maskz_loadu_epi16(first16(count), p))};
  }
  template <class H>
    requires(sizeof(H) == 2)
  static F32 load(const H* p, int64_t first, int64_t last) {
    return {widen16(p, _mm256_maskz_loadu_epi16(between16(first, last), p))};
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p, int64_t first, int64_t last) const {
    _mm256_mask_storeu_epi16(p, between16(first, last), narrow16(p, v));
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow16(p, v));
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p, int64_t count) const {
    _mm256_mask_storeu_epi16(p, first16(count), narrow16(p, v));
  }
  static F32 load(const uint8_t* p) {
    return {widen16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static F32 load(const uint8_t* p, int64_t count) {
    return {widen16(_mm_maskz_loadu_epi8(first16(count), p))};
  }
  static F32 load(const uint8_t* p, int64_t first, int64_t last) {
    return {widen16(_mm_maskz_loadu_epi8(between16(first, last), p))};
  }
  friend F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
};

struct F64 {
  using Element = double;
  static constexpr int kLanes = 8, kRegisters = 32;
  __m512d v;

  static F64 set(double value) { return {_mm512_set1_pd(value)}; }
  static F64 load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static F64 load(const double* p, int64_t count) {
    return {_mm512_maskz_loadu_pd(first8(count), p)};
  }
  static F64 load(const double* p, int64_t first, int64_t last) {
    return {_mm512_maskz_loadu_pd(between8(first, last), p)};
  }
  void store(double* p, int64_t first, int64_t last) const {
    _mm512_mask_storeu_pd(p, between8(first, last), v);
  }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  void stream(double* p) const { _mm512_stream_pd(p, v); }
  void store(double* p, int64_t count) const { _mm512_mask_storeu_pd(p, first8(count), v); }
  friend F64 operator+(F64 a, F64 b) { return {_mm512_add_pd(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {_mm512_sub_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm512_mul_pd(a.v, b.v)}; }
  friend F64 operator/(F64 a, F64 b) { return {_mm512_div_pd(a.v, b.v)}; }
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

F32 in_register(F32 a) {
  asm("" : "+v"(a.v));
  return a;
}
F64 in_register(F64 a) {
  asm("" : "+v"(a.v));
  return a;
}

void fence() { _mm_sfence(); }

F32 larger(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
F64 larger(F64 a, F64 b) { return {_mm512_max_pd(a.v, b.v)}; }
F32 smaller(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
F64 smaller(F64 a, F64 b) { return {_mm512_min_pd(a.v, b.v)}; }

F32 where_negative(F32 by, F32 a, F32 b) {
  return {_mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(by.v)), b.v, a.v)};
}

F64 where_negative(F64 by, F64 a, F64 b) {
  return {_mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(by.v)), b.v, a.v)};
}

F64 where_nonzero(F64 by, F64 a) {
  return {_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(by.v, _mm512_setzero_pd(), _CMP_NEQ_UQ), a.v)};
}

F64 where_selected(const uint8_t* by, F64 a) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(by));
  return {_mm512_maskz_mov_pd(static_cast<__mmask8>(_mm_test_epi8_mask(bytes, bytes)), a.v)};
}
F64 where_selected(const uint8_t* by, F64 a, int64_t count) {
  const __m128i bytes = _mm_maskz_loadu_epi8(first8(count), by);
  return {_mm512_maskz_mov_pd(static_cast<__mmask8>(_mm_test_epi8_mask(bytes, bytes)), a.v)};
}

F32 times_power_of_two(F32 a, F32 t) {
  return {_mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_castps_si512(t.v), 23)))};
}

F64 times_power_of_two(F64 a, F64 t) {
  return {_mm512_castsi512_pd(
      _mm512_add_epi64(_mm512_castpd_si512(a.v), _mm512_slli_epi64(_mm512_castpd_si512(t.v), 52)))};
}

F32 join(F32 a, F32 b, int64_t count) { return {_mm512_mask_blend_ps(first16(count), b.v, a.v)}; }
F64 join(F64 a, F64 b, int64_t count) { return {_mm512_mask_blend_pd(first8(count), b.v, a.v)}; }

F32 keep(F32 a, int64_t count) { return {_mm512_maskz_mov_ps(first16(count), a.v)}; }
F64 keep(F64 a, int64_t count) { return {_mm512_maskz_mov_pd(first8(count), a.v)}; }

__m256 low(F32 a) { return _mm512_castps512_ps256(a.v); }
__m256 high(F32 a) { return _mm512_extractf32x8_ps(a.v, 1); }

F64 load_f64(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }

F64 widen_low(F32 a) { return {_mm512_cvtps_pd(low(a))}; }
F64 widen_high(F32 a) { return {_mm512_cvtps_pd(high(a))}; }
F64 fold(F32 a) { return {_mm512_cvtps_pd(_mm256_add_ps(low(a), high(a)))}; }

double sum(F64 a) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Blocks of two lanes are added and picked by number.
F64 sums(const F64 (&a)[8]) {
  const auto halves = [](F64 p, F64 q) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(p.v, q.v, 0x44),
                         _mm512_shuffle_f64x2(p.v, q.v, 0xee));
  };
  const auto quarters = [](__m512d p, __m512d q) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(p, q, 0x88), _mm512_shuffle_f64x2(p, q, 0xdd));
  };
  const __m512d p = quarters(halves(a[0], a[1]), halves(a[2], a[3]));
  const __m512d q = quarters(halves(a[4], a[5]), halves(a[6], a[7]));
  const __m512d all = _mm512_add_pd(_mm512_unpacklo_pd(p, q), _mm512_unpackhi_pd(p, q));
  return {_mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), all)};
}

}  // namespace
}  // namespace normfast
