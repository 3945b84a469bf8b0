// The operations of one ISA's vector as functions over arrays, so that tests compiled without its
// flags can call them.
#pragma once

#include <cstdint>

namespace normfast::test {

template <class T>
struct LaneProbe {
  using Element = T;
  using Unary = void (*)(const T* a, T* result);
  using Binary = void (*)(const T* a, const T* b, T* result);
  using Ternary = void (*)(const T* a, const T* b, const T* c, T* result);

  int64_t lanes;
  void (*set)(T value, T* result);
  Unary copy;  // load, then store
  void (*load)(const T* from, int64_t count, T* result);
  void (*store)(const T* a, T* to, int64_t count);
  void (*keep)(const T* a, int64_t count, T* result);
  Binary add, subtract, multiply, max_magnitude;
  Ternary fma;
  Unary abs;
};

struct Probe {
  using Widen = void (*)(const float* a, double* result);

  const char* isa;
  LaneProbe<float> f32;
  LaneProbe<double> f64;
  Widen widen_low, widen_high, fold;
  double (*sum)(const double* a);
};

}  // namespace normfast::test
