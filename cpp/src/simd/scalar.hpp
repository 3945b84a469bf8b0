// The virtual vector in plain C++: what every other file of this room must agree with, bit for bit.
//
// F32 is 16 floats, F64 is 8 doubles, on every machine. Partial loads read `count` lanes, or those
// from `first` to `last`, and nothing beside them, where they give zero. Everything lives in an
// anonymous namespace, because these files are compiled once an ISA and the linker must never take
// one ISA's copy for another's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "simd/half.hpp"

namespace normfast {
namespace {

template <class T, int N>
struct Array {
  using Element = T;
  static constexpr int kLanes = N, kRegisters = 1;  // how many of them registers hold
  T lane[N];

  static Array set(T value) {
    Array r;
    for (T& l : r.lane) l = value;
    return r;
  }
  static Array load(const T* p) {
    Array r;
    std::memcpy(r.lane, p, sizeof r.lane);
    return r;
  }
  static Array load(const T* p, int64_t count) {
    Array r = set(0);
    for (int64_t i = 0; i < count; ++i) r.lane[i] = p[i];
    return r;
  }
  template <class S>
  static Array load(const S* p, int64_t first, int64_t last) {
    Array r = load(p + first, last - first);
    for (int i = N; i-- > 0;) r.lane[i] = i < first ? T(0) : r.lane[i - first];
    return r;
  }
  template <class S>
  void store(S* p, int64_t first, int64_t last) const {
    Array r = *this;
    for (int64_t i = first; i < last; ++i) r.lane[i - first] = lane[i];
    r.store(p + first, last - first);
  }
  void store(T* p) const { std::memcpy(p, lane, sizeof lane); }
  // Past the cache, to an address that is a multiple of 64.
  template <class S>
  void stream(S* p) const {
    store(p);
  }
  // Two vectors of sixteen bits an element fill a line.
  template <class S>
  static void store(S* p, Array a, Array b) {
    a.store(p);
    b.store(p + N);
  }
  template <class S>
  static void stream(S* p, Array a, Array b) {
    store(p, a, b);
  }
  void store(T* p, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) p[i] = lane[i];
  }
  friend Array operator+(Array a, Array b) {
    for (int i = 0; i < N; ++i) a.lane[i] += b.lane[i];
    return a;
  }
  friend Array operator-(Array a, Array b) {
    for (int i = 0; i < N; ++i) a.lane[i] -= b.lane[i];
    return a;
  }
  friend Array operator*(Array a, Array b) {
    for (int i = 0; i < N; ++i) a.lane[i] *= b.lane[i];
    return a;
  }
  friend Array operator/(Array a, Array b) {
    for (int i = 0; i < N; ++i) a.lane[i] /= b.lane[i];
    return a;
  }

  // Bytes and sixteen-bit storage are widened on the way in, the latter rounded to nearest even on
  // the way out.
  template <class H>
    requires(sizeof(H) <= 2)
  static Array load(const H* p) {
    return load(p, N);
  }
  template <class H>
    requires(sizeof(H) <= 2)
  static Array load(const H* p, int64_t count) {
    Array r = set(0);
    for (int64_t i = 0; i < count; ++i) {
      H h;
      std::memcpy(&h, p + i, sizeof h);
      r.lane[i] = to_float(h);
    }
    return r;
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p) const {
    store(p, N);
  }
  template <class H>
    requires(sizeof(H) == 2)
  void store(H* p, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      const H h = from_float<H>(lane[i]);
      std::memcpy(p + i, &h, sizeof h);
    }
  }
};

using F32 = Array<float, 16>;
using F64 = Array<double, 8>;

template <class T, int N>
Array<T, N> fma(Array<T, N> a, Array<T, N> b, Array<T, N> c) {
  for (int i = 0; i < N; ++i) c.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

template <class T, int N>
Array<T, N> abs(Array<T, N> a) {
  for (T& l : a.lane) l = std::fabs(l);
  return a;
}

// The larger of two non-negative numbers; a NaN counts as larger than infinity, so it is never
// lost.
template <class T, int N>
Array<T, N> max_magnitude(Array<T, N> a, Array<T, N> b) {
  for (int i = 0; i < N; ++i) {
    const bool larger = b.lane[i] > a.lane[i] || b.lane[i] != b.lane[i];
    if (larger && a.lane[i] == a.lane[i]) a.lane[i] = b.lane[i];
  }
  return a;
}

// a > b ? a : b, and a < b ? a : b: where either is a NaN, b.
template <class T, int N>
Array<T, N> larger(Array<T, N> a, Array<T, N> b) {
  for (int i = 0; i < N; ++i) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}

template <class T, int N>
Array<T, N> smaller(Array<T, N> a, Array<T, N> b) {
  for (int i = 0; i < N; ++i) a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}

// a where the sign bit of `by` is set, else b.
template <class T, int N>
Array<T, N> where_negative(Array<T, N> by, Array<T, N> a, Array<T, N> b) {
  for (int i = 0; i < N; ++i) b.lane[i] = std::signbit(by.lane[i]) ? a.lane[i] : b.lane[i];
  return b;
}

// a where `by` is not zero, else 0.
template <class T, int N>
Array<T, N> where_nonzero(Array<T, N> by, Array<T, N> a) {
  for (int i = 0; i < N; ++i) a.lane[i] = by.lane[i] != 0 ? a.lane[i] : 0;
  return a;
}

// a where the byte of `by` is not zero, else 0; of the first `count` lanes.
F64 where_selected(const uint8_t* by, F64 a, int64_t count = 8) {
  for (int64_t i = 0; i < 8; ++i) a.lane[i] = i < count && by[i] != 0 ? a.lane[i] : 0;
  return a;
}

// a * 2^k, where the low bits of t are the integer k and all stays in the normal range.
F32 times_power_of_two(F32 a, F32 t) {
  for (int i = 0; i < 16; ++i) {
    const uint32_t k = std::bit_cast<uint32_t>(t.lane[i]) << 23;
    a.lane[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(a.lane[i]) + k);
  }
  return a;
}

F64 times_power_of_two(F64 a, F64 t) {
  for (int i = 0; i < 8; ++i) {
    const uint64_t k = std::bit_cast<uint64_t>(t.lane[i]) << 52;
    a.lane[i] = std::bit_cast<double>(std::bit_cast<uint64_t>(a.lane[i]) + k);
  }
  return a;
}

// The same, once read from memory for all its uses: compilers read again for each, as an operand
// costs no instruction, but one that straddles two lines costs more than the arithmetic.
template <class T, int N>
Array<T, N> in_register(Array<T, N> a) {
  return a;
}

// Makes what was streamed visible to other threads.
void fence() {}

// The first `count` lanes of a, the others of b.
template <class T, int N>
Array<T, N> join(Array<T, N> a, Array<T, N> b, int64_t count) {
  for (int i = 0; i < N; ++i) {
    if (i >= count) a.lane[i] = b.lane[i];
  }
  return a;
}

// The first `count` lanes; zero beyond, whatever stood there.
template <class T, int N>
Array<T, N> keep(Array<T, N> a, int64_t count) {
  for (int i = 0; i < N; ++i) {
    if (i >= count) a.lane[i] = 0;
  }
  return a;
}

// Eight floats, widened as they are read.
F64 load_f64(const float* p) {
  F64 r;
  for (int i = 0; i < 8; ++i) r.lane[i] = p[i];
  return r;
}

F64 widen_low(F32 a) {
  F64 r;
  for (int i = 0; i < 8; ++i) r.lane[i] = a.lane[i];
  return r;
}

F64 widen_high(F32 a) {
  F64 r;
  for (int i = 0; i < 8; ++i) r.lane[i] = a.lane[i + 8];
  return r;
}

// Lane i plus lane i + 8, added in float32, then widened: 16 partial sums become 8.
F64 fold(F32 a) {
  F64 r;
  for (int i = 0; i < 8; ++i) {
    const float sum = a.lane[i] + a.lane[i + 8];
    r.lane[i] = sum;
  }
  return r;
}

// The sum of the lanes by repeated halving: 8 to 4 to 2 to 1.
double sum(F64 a) {
  for (int width = 4; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) a.lane[i] += a.lane[i + width];
  }
  return a.lane[0];
}

// The sums of eight, a lane each.
F64 sums(const F64 (&a)[8]) {
  F64 r;
  for (int i = 0; i < 8; ++i) r.lane[i] = sum(a[i]);
  return r;
}

}  // namespace
}  // namespace normfast
