// How a sequence is read: group by group, where it lies if it can be, through a tile otherwise.
#pragma once

#include <algorithm>
#include <memory>

#include "run/stage.hpp"
#include "run/work.hpp"

namespace normfast {

// Tiles of this thread. A chunk of a row fits, and so does a group of lines of a strip.
template <class T>
T* tile() {
  thread_local const std::unique_ptr<T[]> memory(new T[kRowChunk]);
  return memory.get();
}

template <class T>
Moments Sequence<T>::reduce(typename Kernels<T>::ReduceRow kernel, const char* x, int64_t c,
                            double pre) const {
  const int64_t begin = c * kRowChunk;
  const int64_t count = std::min(nest_.size() - begin, kRowChunk);
  if (contiguous_ && pre == 1) {
    return kernel(reinterpret_cast<const T*>(x) + begin, nullptr, count, tiny_);
  }
  const T* groups[kRowChunk / kGroup];
  const bool unit = nest_.inner_step(kX) == static_cast<int64_t>(sizeof(T));
  if (aligned_ && pre == 1 && unit && nest_.inner_size() >= kGroup) {
    // Long runs: only the groups that straddle two of them are copied.
    for_runs(nest_, begin, begin + count, [&](int64_t i, const Offsets& at, int64_t n) {
      int64_t g = (i - begin + kGroup - 1) / kGroup;
      for (; g * kGroup < i - begin + n; ++g) {
        const int64_t first = g * kGroup - (i - begin);
        const int64_t size = std::min(count - g * kGroup, kGroup);
        if (first + size <= n) {
          groups[g] = reinterpret_cast<const T*>(x + at[kX]) + first;
        } else {
          T* p = tile<T>() + g * kGroup;
          gather(nest_, kX, x, begin + g * kGroup, begin + g * kGroup + size, p);
          groups[g] = p;
        }
      }
    });
    return kernel(nullptr, groups, count, tiny_);
  }
  T* p = tile<T>();
  gather(nest_, kX, x, begin, begin + count, p);
  if (pre != 1) {
    for (int64_t i = 0; i < count; ++i) p[i] *= static_cast<T>(pre);
  }
  return kernel(p, nullptr, count, tiny_);
}

template <class T>
Moments Sequence<T>::rescaled(const char* x, double& pre) const {
  Moments largest = {}, m = {};
  for (int64_t c = 0; c < chunks(); ++c) {
    largest = merge(Reduction::kMaximum, largest, reduce(largest_, x, c, 1));
  }
  pre = 1;
  if (largest.m2 > 0 && largest.m2 <= std::numeric_limits<double>::max()) {
    int exponent;
    std::frexp(largest.m2, &exponent);
    pre = std::ldexp(1.0, std::min(-exponent, 1000));
  }
  for (int64_t c = 0; c < chunks(); ++c) {
    m = merge(rule_.reduction(), m, reduce(reduce_, x, c, pre));
  }
  return m;
}

// From merged Moments (or what was given) to the map of the statistic at `at`, reporting on the
// way.
template <class T>
Statistic finish_statistic(const Work& work, const Sequence<T>& sequence, const Offsets& at,
                           Moments m) {
  const int64_t i = at[kStatistic];
  if (work.given_rstd) {
    const Statistic s = {1, work.given_mean[i], 0, work.given_rstd[i]};
    if (work.mean) work.mean[i] = s.mean;
    if (work.scale) work.scale[i] = s.rstd;
    return s;
  }
  double pre = 1;
  if (sequence.out_of_range(m)) m = sequence.rescaled(work.x + at[kX], pre);
  const Statistic s = finish(sequence.kernels(), work.rule, m, pre);
  if (work.mean) work.mean[i] = m.mean / pre;
  if (work.scale) work.scale[i] = reported(sequence.kernels(), work.rule, m, s);
  if (work.m2) work.m2[i] = m.m2 / pre / pre;
  return s;
}

// apply_exact over a tile.
template <class T>
void apply_exact(const Statistic& s, const T* x, T* y, int64_t count, const T* weight,
                 const T* bias) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = apply_exact(s, x[i], weight ? weight + i : nullptr, bias ? bias + i : nullptr);
  }
}

// Whether every address of x, y, weight and bias in the nest is one of a T.
template <class T>
bool reachable(const Work& work, const Nest& nest) {
  return aligned<T>(work.x, nest, kX) && aligned<T>(work.y, nest, kY) &&
         aligned<T>(work.weight, nest, kWeight) && aligned<T>(work.bias, nest, kBias);
}

// Whether x and y are contiguous along the innermost dimension.
template <class T>
bool contiguous(const Nest& nest) {
  const int64_t unit = sizeof(T);
  return nest.inner_size() == 1 || (nest.inner_step(kX) == unit && nest.inner_step(kY) == unit);
}

template <class T>
const T* pointer(const char* p, int64_t offset) {
  return p ? reinterpret_cast<const T*>(p + offset) : nullptr;
}

// Whether kernels can take weight and bias along the innermost dimension where they lie: as two
// constants (step 0) or two arrays (step 1).
template <class T>
bool affine_lies(const Work& work, const Nest& nest, int64_t step) {
  const auto lies = [&](const char* p, Operand o) {
    return !p || nest.ndim() == 0 || nest.inner_step(o) == step * static_cast<int64_t>(sizeof(T));
  };
  return lies(work.weight, kWeight) && lies(work.bias, kBias);
}

// Copies of weight and bias for at most kGroup elements of a nest. Null where not given.
template <class T>
struct AffineTile {
  const T* weight;
  const T* bias;

  AffineTile(const Work& work, const Nest& nest, const Offsets& at, int64_t begin, int64_t end) {
    weight = take(work.weight, kWeight, nest, at, begin, end, weight_copy);
    bias = take(work.bias, kBias, nest, at, begin, end, bias_copy);
  }

 private:
  static const T* take(const char* p, Operand o, const Nest& nest, const Offsets& at, int64_t begin,
                       int64_t end, T* copy) {
    if (!p) return nullptr;
    gather(nest, o, p + at[o], begin, end, copy);
    return copy;
  }

  T weight_copy[kGroup];
  T bias_copy[kGroup];
};

}  // namespace normfast
