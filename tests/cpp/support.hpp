// What the tests share: memory with a fence, bits, data, and ISAs this processor may lack.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
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
    size_ = usable + page;
    begin_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin_ == MAP_FAILED) throw std::bad_alloc();
    end_ = static_cast<char*>(begin_) + usable;
    if (mprotect(end_, page, PROT_NONE) != 0) throw std::bad_alloc();
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(begin_, size_); }

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
  char* end_;
  std::size_t size_;
};

template <class T>
auto bits(T value) {
  return std::bit_cast<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>(value);
}

// The same bits; a NaN equals any NaN.
template <class T>
bool same(T a, T b) {
  return bits(a) == bits(b) || (a != a && b != b);
}

template <class T>
testing::AssertionResult same(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << ", " << b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (same(a[i], b[i])) continue;
    return testing::AssertionFailure() << "at " << i << ": " << testing::PrintToString(a[i])
                                       << " and " << testing::PrintToString(b[i]);
  }
  return testing::AssertionSuccess();
}

// Data: spread * noise + center, and one element that is `odd` where that is not 0.
struct Family {
  const char* name;
  double center, spread, odd;
};

template <class T>
std::vector<Family> families() {
  using Limits = std::numeric_limits<T>;
  const double inf = std::numeric_limits<double>::infinity();
  return {{"normal", 0, 1, 0},
          {"mean_1e6", 1e6, 1, 0},
          {"1e30", 0, 1e30, 0},
          {"1e-30", 0, 1e-30, 0},
          {"huge", 0, Limits::max() / 16, 0},
          {"subnormal", 0, 64.0 * Limits::denorm_min(), 0},
          {"constant", 0.1, 0, 0},
          {"nan", 0, 1, std::numeric_limits<double>::quiet_NaN()},
          {"inf", 0, 1, inf},
          {"minus_inf", 1e6, 1, -inf}};
}

template <class T>
std::vector<T> data(const Family& family, int64_t count, std::mt19937_64& random) {
  std::normal_distribution<double> noise;
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) {
    v = static_cast<T>(std::clamp(noise(random), -8.0, 8.0) * family.spread + family.center);
  }
  if (family.odd != 0) values[random() % values.size()] = static_cast<T>(family.odd);
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
