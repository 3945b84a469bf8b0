// Rows: a unit is one statistic, a part is the Moments of one of its chunks.
#pragma once

#include "run/sequence.inl"

namespace normfast {

template <class T>
class Rows {
 public:
  struct State {
    Statistic statistic;
    Normalizer<T> normalizer;
    bool fits;
  };

  Rows(const Work& work, const Kernels<T>& kernels)
      : work_(work),
        kernels_(kernels),
        sequence_(work, kernels),
        nest_(work.plan.apply),
        follows_(work.plan.affine_follows()) {
    const bool long_runs = nest_.ndim() <= 1 || nest_.inner_size() >= kShortRun;
    const int64_t unit = work.x.unit();
    const bool contiguous =
        nest_.inner_size() == 1 || (nest_.inner_step(kX) == unit && nest_.inner_step(kY) == unit);
    direct_ = maps_in_place(work, kernels) && long_runs && contiguous &&
              reachable<T>(work, work.plan.units) && reachable<T>(work, nest_);
    step_ = affine_lies<T>(work, nest_, 0) ? 0 : 1;
    runs_ = long_runs && lie_in_runs(work, nest_);
    if (!follows_) {
      direct_ &= affine_lies<T>(work, nest_, step_);
      runs_ &= affine_lies<T>(work, nest_, step_);
    }
  }

  static constexpr bool kHasBands = false;

  int64_t units() const { return work_.plan.units.size(); }
  Offsets place(int64_t unit) const { return offsets_of(work_.plan.units, unit); }
  template <class Body>
  void for_places(int64_t begin, int64_t end, Body body) const {
    const Nest& units = work_.plan.units;
    for_runs(units, begin, end, [&](int64_t, Offsets at, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        body(at);
        if (i + 1 < count) at.add(units.inner().step, 1);
      }
    });
  }
  int64_t chunks() const { return sequence_.chunks(); }
  int64_t part_size() const { return 4; }  // a Moments

  void reduce(const Offsets& at, int64_t c, double* part) const {
    store(sequence_.chunk(at, c), part);
  }
  void merge_into(const Offsets&, double* total, const double* part) const {
    store(merge(work_.reduction(), load(total), load(part)), total);
  }

  void finish(const Offsets& at, const double* total, State& state) const {
    state.statistic = sequence_.finish(at, load(total));
    double weight = kNoWeight, bias = kNoBias;
    if (follows_ && work_.weight) weight = *pointer<T>(work_.weight, at[kWeight]);
    if (follows_ && work_.bias) bias = *pointer<T>(work_.bias, at[kBias]);
    state.fits = fold(kernels_, state.statistic, weight, bias, state.normalizer);
  }

  void apply(const Offsets& at, int64_t c, const State& state) const {
    const int64_t begin = c * kRowChunk;
    const int64_t end = std::min(nest_.size(), begin + kRowChunk);
    if (direct_ && state.fits) {
      apply_direct(at, begin, end, state);
    } else if (runs_ && state.fits) {
      apply_runs(at, begin, end, state);
    } else {
      apply_tiles(at, begin, end, state);
    }
  }

 private:
  static void store(const Moments& m, double* p) {
    p[0] = m.count, p[1] = m.mean, p[2] = m.mean_lo, p[3] = m.m2;
  }
  static Moments load(const double* p) { return {p[0], p[1], p[2], p[3]}; }

  void apply_direct(const Offsets& at, int64_t begin, int64_t end, const State& state) const {
    const auto& direct = kernels_.of(work_.x.type);
    const auto apply_row = work_.stream ? direct.stream_row : direct.apply_row;
    for_runs(nest_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      const T* w = follows_ ? nullptr : pointer<T>(work_.weight, at[kWeight] + o[kWeight]);
      const T* b = follows_ ? nullptr : pointer<T>(work_.bias, at[kBias] + o[kBias]);
      apply_row(work_.x.data + at[kX] + o[kX], work_.y.data + at[kY] + o[kY], count,
                state.normalizer, w, b, step_);
    });
  }

  void apply_runs(const Offsets& start, int64_t begin, int64_t end, const State& state) const {
    const auto apply_row = kernels_.of(kTypeOf<T>).apply_row;
    for_runs(nest_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      Offsets at = start;
      at.add(o, 1);
      for_pieces(0, count, [&](int64_t b, int64_t e) {
        const T* weight = follows_ ? nullptr : pointer<T>(work_.weight, at[kWeight]);
        const T* bias = follows_ ? nullptr : pointer<T>(work_.bias, at[kBias]);
        normfast::map_run(work_, kernels_, at, e - b, [&](const T* x, T* y) {
          apply_row(x, y, e - b, state.normalizer, weight, bias, step_);
        });
        if (nest_.ndim() > 0) at.add(nest_.inner().step, e - b);
      });
    });
  }

  void apply_tiles(const Offsets& at, int64_t begin, int64_t end, const State& state) const {
    const auto apply_row = kernels_.of(kTypeOf<T>).apply_row;
    for_pieces(begin, end, [&](int64_t b, int64_t e) {
      T x[kGroup];
      const int64_t count = e - b;
      fetch_input(work_, kernels_, nest_, at, b, e, x);
      if (work_.sum) put(kernels_, work_.sum, nest_, kSum, at, b, e, x);
      if (state.fits && follows_) {
        apply_row(x, x, count, state.normalizer, nullptr, nullptr, 0);
      } else {
        const AffineTile<T> affine(work_, nest_, at, b, e);
        if (state.fits) {
          apply_row(x, x, count, state.normalizer, affine.weight, affine.bias, 1);
        } else {
          apply_exact(state.statistic, x, x, count, affine.weight, affine.bias);
        }
      }
      finish_output(work_, kernels_, nest_, at, b, e, x);
    });
  }

  const Work& work_;
  const Kernels<T>& kernels_;
  const Sequence<T> sequence_;
  const Nest& nest_;
  const bool follows_;
  bool direct_;   // a kernel of x's own type does it, where all lies
  bool runs_;     // all lies in runs
  int64_t step_;  // of weight and bias, where they lie directly
};

}  // namespace normfast
