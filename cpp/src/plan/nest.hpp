// Nests of dimensions and walks over them: all that is known about strides, in one place.
#pragma once

#include <cstdint>

#include "normfast/normfast.hpp"

namespace normfast {

// What a dimension steps through at once: arrays (bytes) and the index of the statistic. Those that
// the data flows through come first, x before all: joining may stop after them.
enum Operand : int {
  kX,
  kY,
  kAddend,
  kSum,
  kWhere,
  kSampleWeight,
  kWeight,
  kBias,
  kStatistic,
  kOperands
};

// Not initialised by default: nests are large, and short calls make several.
struct Offsets {
  int64_t at[kOperands];

  static Offsets zero() { return {{}}; }

  int64_t operator[](Operand o) const { return at[o]; }
  void add(const Offsets& step, int64_t times) {
    for (int o = 0; o < kOperands; ++o) at[o] += step.at[o] * times;
  }
};

struct Dim {
  int64_t size;
  Offsets step;
};

// Dimensions, outermost first. An empty nest holds one element.
class Nest {
 public:
  Nest() noexcept {}

  int ndim() const { return ndim_; }
  const Dim& operator[](int i) const { return dims_[i]; }
  const Dim& inner() const { return dims_[ndim_ - 1]; }
  int64_t size() const { return size_; }
  int64_t inner_size() const { return ndim_ ? inner().size : 1; }
  int64_t inner_step(Operand o) const { return ndim_ ? inner().step[o] : 0; }

  // Adds a dimension inside the others; joined with its neighbour where `count` operands allow it.
  void push(const Dim& dim, int operands = kOperands) {
    size_ *= dim.size;
    if (ndim_ > 0) {
      Dim& last = dims_[ndim_ - 1];
      bool joins = true;
      for (int o = 0; o < operands; ++o) joins &= last.step.at[o] == dim.step.at[o] * dim.size;
      if (joins) {
        last.size *= dim.size;
        last.step = dim.step;
        return;
      }
    }
    dims_[ndim_++] = dim;
  }

  // No element steps through operand o.
  bool still(Operand o) const {
    for (int i = 0; i < ndim_; ++i) {
      if (dims_[i].step[o] != 0) return false;
    }
    return true;
  }

 private:
  int ndim_ = 0;
  int64_t size_ = 1;
  Dim dims_[kMaxDims + 2];
};

// Calls body(i, offsets, count) for each stretch of elements [i, i + count) of [begin, end) that
// lies in one innermost dimension.
template <class Body>
void for_runs(const Nest& nest, int64_t begin, int64_t end, Body&& body) {
  if (begin >= end) return;
  const int n = nest.ndim();
  if (n <= 1) {  // most calls
    Offsets at = Offsets::zero();
    if (n == 1) at.add(nest[0].step, begin);
    body(begin, at, end - begin);
    return;
  }
  int64_t index[kMaxDims + 2];
  Offsets at = Offsets::zero();
  int64_t rest = begin;
  for (int d = n - 1; d >= 0; --d) {
    index[d] = d == 0 ? rest : rest % nest[d].size;
    rest = d == 0 ? 0 : rest / nest[d].size;
    at.add(nest[d].step, index[d]);
  }
  for (int64_t i = begin;;) {
    const Dim& inner = nest[n - 1];
    const int64_t left = inner.size - index[n - 1];
    const int64_t count = left < end - i ? left : end - i;
    body(i, at, count);
    i += count;
    if (i >= end) return;
    if (index[n - 1] != 0) at.add(inner.step, -index[n - 1]);  // only the first is cut
    index[n - 1] = 0;
    for (int d = n - 2;; --d) {
      at.add(nest[d].step, 1);
      if (++index[d] < nest[d].size) break;
      at.add(nest[d].step, -index[d]);
      index[d] = 0;
    }
  }
}

inline Offsets offsets_of(const Nest& nest, int64_t i) {
  Offsets at;
  for_runs(nest, i, i + 1, [&](int64_t, const Offsets& o, int64_t) { at = o; });
  return at;
}

// The same, whole innermost dimensions together: body(i, offsets, rows, count) for `rows` of them,
// a step of the next dimension apart, or for one stretch.
template <class Body>
void for_rows(const Nest& nest, int64_t begin, int64_t end, Body&& body) {
  const int64_t inner = nest.inner_size();
  if (nest.ndim() == 2 && begin == 0 && end == nest.size()) {  // most calls
    return body(int64_t{0}, Offsets::zero(), nest[0].size, inner);
  }
  for (int64_t i = begin, rows, count; i < end; i += rows * count) {
    rows = 1, count = nest.ndim() > 1 ? inner - i % inner : end - i;
    if (count > end - i) count = end - i;
    if (nest.ndim() > 1 && count == inner) {
      const int64_t size = nest[nest.ndim() - 2].size, left = size - i / inner % size;
      rows = (end - i) / inner;
      if (rows > left) rows = left;
    }
    body(i, offsets_of(nest, i), rows, count);
  }
}

}  // namespace normfast
