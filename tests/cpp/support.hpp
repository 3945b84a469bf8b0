// What the tests share: memory with a fence, bits, sixteen-bit numbers by their definition, data,
// and ISAs this processor may lack.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "dispatch/dispatch.hpp"

namespace normfast::test {

// Memory that ends at a page nobody may touch: one access past the end stops the test.
class Fenced {
 public:
  explicit Fenced(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t usable = (bytes + page - 1) / page * page;
    size_ = page + usable + page;
    begin_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin_ == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<char*>(begin_) + page;
    end_ = start_ + usable;
    for (void* fence : {begin_, static_cast<void*>(end_)}) {
      if (mprotect(fence, page, PROT_NONE) != 0) throw std::bad_alloc();
    }
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(begin_, size_); }

  // The first elements.
  template <class T>
  T* first() const {
    return reinterpret_cast<T*>(start_);
  }
  // The last `count` elements; those of `values`.
  template <class T>
  T* last(int64_t count) const {
    return reinterpret_cast<T*>(end_) - count;
  }
  template <class T>
  T* last(const std::vector<T>& values) const {
    return std::copy(values.begin(), values.end(), last<T>(std::ssize(values))) -
           std::ssize(values);
  }

 private:
  void* begin_;
  char *start_, *end_;
  std::size_t size_;
};

template <class T>
auto bits(T value) {
  if constexpr (sizeof(T) == 2) return std::bit_cast<uint16_t>(value);
  if constexpr (sizeof(T) == 4) return std::bit_cast<uint32_t>(value);
  if constexpr (sizeof(T) == 8) return std::bit_cast<uint64_t>(value);
}

template <class X>
constexpr bool kIsHalf = std::is_same_v<X, Half> || std::is_same_v<X, BFloat16>;

// Of a sixteen-bit number: the bits of its fraction, and infinity.
template <class H>
constexpr int kFraction = std::is_same_v<H, Half> ? 10 : 7;
template <class H>
constexpr int kInfinity = 0x8000 - (1 << kFraction<H>);

// What its bits without the sign say. Those of infinity: the number that would follow the largest.
template <class H>
double magnitude(int bits) {
  constexpr int f = kFraction<H>, bias = (1 << (14 - f)) - 1;
  const int exponent = bits >> f, fraction = bits & ((1 << f) - 1);
  if (exponent == 0) return std::ldexp(fraction, 1 - bias - f);
  return std::ldexp((1 << f) + fraction, exponent - bias - f);
}

template <class X>
double value_of(X x) {
  if constexpr (kIsHalf<X>) {
    const int b = x.bits & 0x7fff;
    const double inf = std::numeric_limits<double>::infinity();
    const double v = b > kInfinity<X> ? NAN : b == kInfinity<X> ? inf : magnitude<X>(b);
    return x.bits & 0x8000 ? -v : v;
  } else {
    return static_cast<double>(x);
  }
}

// Rounded to nearest, ties to even: for sixteen bits found among all of them.
template <class X>
X nearest(double v) {
  if constexpr (kIsHalf<X>) {
    static const std::vector<double> all = [] {
      std::vector<double> numbers;
      for (int b = 0; b <= kInfinity<X>; ++b) numbers.push_back(magnitude<X>(b));
      return numbers;
    }();
    const int sign = std::signbit(v) ? 0x8000 : 0;
    const auto with_sign = [&](int b) { return X{static_cast<uint16_t>(sign | b)}; };
    if (v != v) return with_sign(0x7fff);
    const double m = std::fabs(v);
    const auto above = std::upper_bound(all.begin(), all.end(), m);
    if (above == all.end()) return with_sign(kInfinity<X>);
    const int high = static_cast<int>(above - all.begin()), low = high - 1;
    const double middle = (all[low] + all[high]) / 2;
    if (m != middle) return with_sign(m < middle ? low : high);
    return with_sign(low % 2 == 0 ? low : high);
  } else {
    return static_cast<X>(v);
  }
}

template <class X>
std::vector<double> values_of(const std::vector<X>& x) {
  std::vector<double> values;
  for (const X v : x) values.push_back(value_of(v));
  return values;
}

// The same bits; a NaN equals any NaN.
template <class T>
bool same(T a, T b) {
  return bits(a) == bits(b) || (std::isnan(value_of(a)) && std::isnan(value_of(b)));
}

template <class T>
testing::AssertionResult same(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << ", " << b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (same(a[i], b[i])) continue;
    return testing::AssertionFailure() << "at " << i << ": " << std::setprecision(17)
                                       << value_of(a[i]) << " and " << value_of(b[i]);
  }
  return testing::AssertionSuccess();
}

// Data: spread * noise + center, and one element that is `odd` where that is not 0.
struct Family {
  const char* name;
  double center, spread, odd;
};

template <class X>
std::vector<Family> families() {
  constexpr bool narrow = std::is_same_v<X, Half>;
  const double inf = std::numeric_limits<double>::infinity();
  double largest, least;
  if constexpr (kIsHalf<X>) {
    largest = magnitude<X>(kInfinity<X> - 1);
    least = magnitude<X>(1);
  } else {
    largest = std::numeric_limits<X>::max();
    least = std::numeric_limits<X>::denorm_min();
  }
  return {{"normal", 0, 1, 0},
          {"large_mean", narrow ? 1e3 : 1e6, 1, 0},
          {"large", 0, narrow ? 1e3 : 1e30, 0},
          {"small", 0, narrow ? 1e-3 : 1e-30, 0},
          {"huge", 0, largest / 16, 0},
          {"subnormal", 0, 64 * least, 0},
          {"constant", 0.1, 0, 0},
          {"nan", 0, 1, std::numeric_limits<double>::quiet_NaN()},
          {"inf", 0, 1, inf},
          {"minus_inf", narrow ? 1e3 : 1e6, 1, -inf}};
}

template <class X>
std::vector<X> data(const Family& family, int64_t count, std::mt19937_64& random) {
  std::normal_distribution<double> noise;
  std::vector<X> values(static_cast<std::size_t>(count));
  for (X& v : values) {
    v = nearest<X>(std::clamp(noise(random), -8.0, 8.0) * family.spread + family.center);
  }
  if (family.odd != 0) values[random() % values.size()] = nearest<X>(family.odd);
  return values;
}

inline int64_t integer(std::mt19937_64& random, int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random);
}

inline bool runs(const std::string& isa) {
  return std::ranges::any_of(available_kernels(),
                             [&](const KernelTable* table) { return table->isa == isa; });
}

}  // namespace normfast::test

#define NORMFAST_SKIP_UNLESS_RUNS(isa) \
  if (!runs(isa)) GTEST_SKIP() << cpu_name() << " lacks " << (isa)
