// The operations of one ISA's vector as functions over arrays, so that tests compiled without its
// flags can call them.
#pragma once

#include <cstdint>

#include "kernels/kernels.hpp"

namespace normfast::test {

template <class T>
struct LaneProbe {
  using Element = T;
  using Unary = void (*)(const T* a, T* result);
  using Binary = void (*)(const T* a, const T* b, T* result);
  using Ternary = void (*)(const T* a, const T* b, const T* c, T* result);

  int64_t lanes;
  void (*set)(T value, T* result);
  Unary copy;    // load, in a register, then store
  Unary stream;  // past the cache, to an aligned result
  void (*load)(const T* from, int64_t count, T* result);
  void (*store)(const T* a, T* to, int64_t count);
  void (*load_between)(const T* from, int64_t first, int64_t last, T* result);
  void (*store_between)(const T* a, T* to, int64_t first, int64_t last);
  void (*join)(const T* a, const T* b, int64_t count, T* result);
  void (*keep)(const T* a, int64_t count, T* result);
  Binary add, subtract, multiply, divide, max_magnitude, larger, smaller, times_power_of_two;
  Ternary fma, where_negative;
  Unary abs;
};

// Sixteen-bit storage of a vector of floats: whole loads and stores, and of some; lines of two.
template <class H>
struct HalfProbe {
  using Element = H;

  void (*load)(const H* from, float* result);
  void (*load_some)(const H* from, int64_t count, float* result);
  void (*store)(const float* a, H* to);
  void (*store_some)(const float* a, H* to, int64_t count);
  void (*load_between)(const H* from, int64_t first, int64_t last, float* result);
  void (*store_between)(const float* a, H* to, int64_t first, int64_t last);
  void (*store_line)(const float* a, H* to);
  void (*stream_line)(const float* a, H* to);  // past the cache, to an aligned line
};

// Bytes to a vector of floats.
struct ByteProbe {
  void (*load)(const uint8_t* from, float* result);
  void (*load_some)(const uint8_t* from, int64_t count, float* result);
  void (*load_between)(const uint8_t* from, int64_t first, int64_t last, float* result);
};

struct Probe {
  using Widen = void (*)(const float* a, double* result);

  const char* isa;
  LaneProbe<float> f32;
  LaneProbe<double> f64;
  HalfProbe<Half> f16;
  HalfProbe<BFloat16> bf16;
  ByteProbe bytes;
  Widen widen_low, widen_high, fold, load_f64;
  LaneProbe<double>::Binary where_nonzero;
  void (*where_selected)(const uint8_t* by, const double* a, double* result);
  void (*where_some_selected)(const uint8_t* by, const double* a, int64_t count, double* result);
  double (*sum)(const double* a);
  void (*sums)(const double* a, double* result);  // of eight vectors
};

}  // namespace normfast::test
