// How a sequence is read: group by group, where it lies if it can be, through a tile otherwise.
#pragma once

#include <limits>

#include "run/stage.hpp"

namespace normfast {

// Moments field by field, `stride` of each.
struct Parts {
  double* p;
  int64_t stride;

  static constexpr int64_t size(int64_t stride) { return 4 * stride; }
  double* count() const { return p; }
  double* mean() const { return p + stride; }
  double* mean_lo() const { return p + 2 * stride; }
  double* m2() const { return p + 3 * stride; }
  Moments operator[](int64_t i) const { return {count()[i], mean()[i], mean_lo()[i], m2()[i]}; }
  void set(int64_t i, const Moments& m) const {
    count()[i] = m.count, mean()[i] = m.mean, mean_lo()[i] = m.mean_lo, m2()[i] = m.m2;
  }
};

template <class T>
const T* pointer(const char* p, int64_t offset) {
  return p ? reinterpret_cast<const T*>(p + offset) : nullptr;
}

// One statistic of any layout as a sequence that starts at some offsets.
template <class T>
class Sequence {
 public:
  Sequence(const Work& work, const Kernels<T>& kernels)
      : work_(work),
        kernels_(kernels),
        direct_(kernels.of(work.x.type)),
        reduction_(work.reduction()),
        whole_(work.masks_whole(work.plan.apply)),
        in_place_(!work.residual() && !work.weighted() &&
                  direct_.reduce_row[static_cast<int>(reduction_)]),
        nest_(in_place_ ? work.plan.sequence : work.plan.apply),
        tiny_(tiny_square<T>(work.rule)),
        unit_(work.x.unit()),
        // One statistic aligned, all are where the steps between them are whole elements.
        aligned_(aligned(work.x.data, nest_, kX, unit_) &&
                 aligned(work.x.data, work.plan.units, kX, unit_) &&
                 aligned(work.x.data, work.plan.lanes, kX, unit_)),
        contiguous_(aligned_ && one_run(nest_, kX, unit_)) {}

  int64_t chunks() const { return (nest_.size() + kRowChunk - 1) / kRowChunk; }

  // Whether kernels read it where it lies: as one run, or group by group.
  bool lies() const { return in_place_ && contiguous_; }
  bool lies_in_groups() const { return in_place_ && aligned_ && in_groups(); }
  // Whether it is one run of the computing type, so that nothing is copied to weigh it.
  bool plain() const { return contiguous_ && work_.x.type == kTypeOf<T> && !work_.residual(); }

  Moments chunk(const Offsets& at, int64_t c) const { return reduce(reduction_, at, c, 1); }

  // Elements [begin, begin + count), which are side by side.
  Moments of_tile(Reduction reduction, const Offsets& at, int64_t begin, int64_t count,
                  const T* p) const {
    const int r = static_cast<int>(reduction);
    if (!work_.weighted()) return kernels_.of(kTypeOf<T>).reduce_row[r](p, nullptr, count, tiny_);
    if (whole_ && !work_.where[at[kWhere]]) return {0, 0, 0, 0};
    if (!work_.sample_weight) {
      const uint8_t* const by =
          selection(work_, nest_, at, begin, begin + count, tile<uint8_t, 1>());
      Moments m;
      kernels_.reduce_selected[r](p, 0, by, 0, 1, count, &m.count, &m.mean, &m.mean_lo, &m.m2);
      return m;
    }
    double* weights = tile<double, 1>();
    fetch_weights(work_, kernels_, nest_, at, begin, begin + count, weights);
    return kernels_.reduce_weighted[r](p, weights, count);
  }

  // Whether a mask alone weighs what is plain, and both lie as the kernel reads them; `count` whole
  // sequences then, neighbours among `rows`.
  bool selects() const {
    return plain() && work_.where && !work_.sample_weight && !whole_ && one_run(nest_, kWhere, 1);
  }
  void of_selected(const Offsets& at, const Nest& rows, int64_t count, const Parts& to) const {
    kernels_.reduce_selected[static_cast<int>(reduction_)](
        pointer<T>(work_.x.data, at[kX]), rows.inner_step(kX) / unit_,
        pointer<uint8_t>(work_.where, at[kWhere]), rows.inner_step(kWhere), count, nest_.size(),
        to.count(), to.mean(), to.mean_lo(), to.m2());
  }

  // `rows` whole sequences without weights, one run each, `stride` elements apart.
  void of_rows(const void* x, DType type, int64_t stride, int64_t rows, const Parts& to) const {
    const int64_t count = nest_.size();
    std::fill_n(to.count(), rows, static_cast<double>(count));
    kernels_.of(type).reduce_rows[static_cast<int>(reduction_)](x, stride, rows, count, tiny_,
                                                                to.mean(), to.mean_lo(), to.m2());
  }

  // Float64 near the ends of its range: squares overflow or underflow. Then all is taken again,
  // multiplied by a power of two that brings the largest element near 1.
  bool out_of_range(const Moments& m) const {
    if (sizeof(T) < sizeof(double)) return false;
    if (!(m.m2 <= std::numeric_limits<double>::max())) return true;
    const Divisor divisor = work_.rule.divisor;
    // A reciprocal may overflow, where there is one.
    if (divisor >= Divisor::kL1) return m.m2 > 0 && m.m2 < 0x1p-1000;
    // Data about a mean of ordinary size cannot differ by so little that squares underflow.
    return m.m2 < tiny_ * m.count && !(std::fabs(m.mean) > 0x1p-300);
  }

  // From merged Moments to the statistic at `at`, reporting it.
  Statistic finish(const Offsets& at, Moments m) const;
  void report(const Offsets& at, const Moments& m, const Statistic& s) const;

 private:
  Moments reduce(Reduction reduction, const Offsets& at, int64_t c, double pre) const;
  Moments reduce_in_place(Reduction reduction, const Offsets& at, int64_t begin,
                          int64_t count) const;
  Moments rescaled(const Offsets& at, double& pre) const;
  bool in_groups() const { return nest_.inner_step(kX) == unit_ && nest_.inner_size() >= kGroup; }

  const Work& work_;
  const Kernels<T>& kernels_;
  const DirectKernels<T>& direct_;
  const Reduction reduction_;
  const bool whole_;     // a mask selects all of a sequence or nothing
  const bool in_place_;  // the kernels of x's own type do it
  const Nest& nest_;
  const double tiny_;
  const int64_t unit_;
  const bool aligned_;
  const bool contiguous_;
};

template <class T>
Moments Sequence<T>::reduce(Reduction reduction, const Offsets& at, int64_t c, double pre) const {
  const int64_t begin = c * kRowChunk;
  const int64_t count = std::min(nest_.size() - begin, kRowChunk);
  if (whole_ && !work_.where[at[kWhere]]) return {0, 0, 0, 0};
  if (in_place_ && pre == 1) return reduce_in_place(reduction, at, begin, count);
  if (plain() && pre == 1) {
    return of_tile(reduction, at, begin, count, pointer<T>(work_.x.data, at[kX]) + begin);
  }
  T* p = tile<T>();
  fetch_input(work_, kernels_, nest_, at, begin, begin + count, p);
  if (pre != 1) {
    for (int64_t i = 0; i < count; ++i) p[i] *= static_cast<T>(pre);
  }
  return of_tile(reduction, at, begin, count, p);
}

template <class T>
Moments Sequence<T>::reduce_in_place(Reduction reduction, const Offsets& start, int64_t begin,
                                     int64_t count) const {
  const auto kernel = direct_.reduce_row[static_cast<int>(reduction)];
  const char* x = work_.x.data + start[kX];
  if (contiguous_) return kernel(x + begin * unit_, nullptr, count, tiny_);
  char* const p = reinterpret_cast<char*>(tile<T>());
  if (aligned_ && in_groups()) {
    // Long runs: only the groups that straddle two of them are copied.
    const void* groups[kRowChunk / kGroup];
    for_runs(nest_, begin, begin + count, [&](int64_t i, const Offsets& at, int64_t n) {
      int64_t g = (i - begin + kGroup - 1) / kGroup;
      for (; g * kGroup < i - begin + n; ++g) {
        const int64_t first = g * kGroup - (i - begin);
        const int64_t size = std::min(count - g * kGroup, kGroup);
        if (first + size <= n) {
          groups[g] = x + at[kX] + first * unit_;
        } else {
          char* to = p + g * kGroup * unit_;
          gather(nest_, kX, x, begin + g * kGroup, begin + g * kGroup + size, unit_, to);
          groups[g] = to;
        }
      }
    });
    return kernel(nullptr, groups, count, tiny_);
  }
  gather(nest_, kX, x, begin, begin + count, unit_, p);
  return kernel(p, nullptr, count, tiny_);
}

template <class T>
Moments Sequence<T>::rescaled(const Offsets& at, double& pre) const {
  Moments largest = {}, m = {};
  for (int64_t c = 0; c < chunks(); ++c) {
    largest = merge(Reduction::kMaximum, largest, reduce(Reduction::kMaximum, at, c, 1));
  }
  pre = 1;
  if (largest.m2 > 0 && largest.m2 <= std::numeric_limits<double>::max()) {
    int exponent;
    std::frexp(largest.m2, &exponent);
    pre = std::ldexp(1.0, std::min(-exponent, 1000));
  }
  for (int64_t c = 0; c < chunks(); ++c) m = merge(reduction_, m, reduce(reduction_, at, c, pre));
  return m;
}

template <class T>
Statistic Sequence<T>::finish(const Offsets& at, Moments m) const {
  Statistic s;
  // Where nothing was selected it is left as it is: mean 0, rstd 1.
  if (m.count != 0) {
    if (reduction_ == Reduction::kSums) m = moments_of_sums(m);
    if (out_of_range(m)) m = rescaled(at, s.pre);
    s = normfast::finish(kernels_, work_.rule, m, s.pre);
  }
  report(at, m, s);
  return s;
}

template <class T>
void Sequence<T>::report(const Offsets& at, const Moments& m, const Statistic& s) const {
  const int64_t i = at[kStatistic];
  if (work_.count) work_.count[i] = m.count;
  if (work_.mean) work_.mean[i] = m.mean / s.pre;
  if (work_.scale) {
    const bool nothing = m.count == 0 && work_.rule.report != Report::kReciprocal;
    work_.scale[i] = nothing ? 0 : reported(kernels_, work_.rule, m, s);
  }
  if (work_.m2) work_.m2[i] = m.m2 / s.pre / s.pre;
}

// apply_exact over a tile.
template <class T>
void apply_exact(const Statistic& s, const T* x, T* y, int64_t count, const T* weight,
                 const T* bias) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = apply_exact(s, x[i], weight ? weight + i : nullptr, bias ? bias + i : nullptr);
  }
}

// Whether a kernel that reads such elements can write y: it adds what is alike, and nothing is
// left.
template <class T>
bool maps_in_place(const Work& work, const Kernels<T>& kernels, DType from, Activation left) {
  return from == work.y.type && kernels.of(from).apply_rows && left == Activation::kNone &&
         (!work.adds() || from == work.addend.type);
}

// Whether every address of x, y, what is added, weight and bias in the nest is one of its elements.
template <class T>
bool reachable(const Work& work, const Nest& nest) {
  constexpr int64_t unit = sizeof(T);
  return aligned(work.x.data, nest, kX, work.x.unit()) &&
         aligned(work.y.data, nest, kY, work.y.unit()) &&
         (!work.adds() || aligned(work.addend.data, nest, kAddend, work.addend.unit())) &&
         aligned(work.weight, nest, kWeight, unit) && aligned(work.bias, nest, kBias, unit);
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

// Weight and bias of at most kGroup elements of a nest: where they lie, or copies. Null where not
// given.
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
    bool follow = true;  // one another, in all dimensions
    int64_t step = sizeof(T);
    for (int i = nest.ndim(); i-- > 0; step *= nest[i].size) follow &= nest[i].step[o] == step;
    if (follow) return pointer<T>(p, at[o]) + begin;
    gather(nest, o, p + at[o], begin, end, sizeof(T), copy);
    return copy;
  }

  T weight_copy[kGroup];
  T bias_copy[kGroup];
};

}  // namespace normfast
