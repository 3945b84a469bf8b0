// Rows: a unit is one statistic, or several short ones that are finished together; a part is the
// Moments of one chunk of each.
#pragma once

#include "run/statistics.inl"

namespace normfast {

// Rows finished together: at most so many, while they stay in the first cache; fewer where they
// come from memory, so that reads and writes alternate quickly.
inline constexpr int64_t kTogether = 8;
inline constexpr int64_t kTogetherElements = 4096, kTogetherFar = 1024;
inline constexpr int64_t kFetched = 64 * 1024;  // bytes that are worth fetching before their turn

template <class T>
class Rows {
 public:
  struct Place {
    int64_t count = 0;
    Offsets at[kTogether];
  };

  struct State {
    Found<kTogether> found;
    T center[kTogether], scale[kTogether], shift[kTogether];
    bool fits[kTogether];
  };

  Rows(const Work& work, const Kernels<T>& kernels)
      : work_(work),
        kernels_(kernels),
        sequence_(work, kernels),
        nest_(work.plan.apply),
        follows_(work.plan.affine_follows()),
        together_(std::clamp<int64_t>((work.far ? kTogetherFar : kTogetherElements) / nest_.size(),
                                      1, kTogether)) {
    const bool long_runs = nest_.ndim() <= 1 || nest_.inner_size() >= kShortRun;
    const int64_t unit = work.x.unit();
    const bool contiguous =
        nest_.inner_size() == 1 || (nest_.inner_step(kX) == unit && nest_.inner_step(kY) == unit);
    direct_ = maps_in_place(work, kernels) && long_runs && contiguous &&
              reachable<T>(work, work.plan.units) && reachable<T>(work, nest_);
    const int64_t next = together_ * work.plan.units.inner_step(kX);
    ahead_ = next > 0 && next <= kFetched ? next : 0;
    step_ = affine_lies<T>(work, nest_, 0) ? 0 : 1;
    runs_ = long_runs && lie_in_runs(work, nest_);
    if (!follows_) {
      direct_ &= affine_lies<T>(work, nest_, step_);
      runs_ &= affine_lies<T>(work, nest_, step_);
    }
  }

  static constexpr bool kHasBands = false;

  int64_t units() const { return (work_.plan.units.size() + together_ - 1) / together_; }
  Place place(int64_t unit) const {
    Place found;
    for_places(unit, unit + 1, [&](const Place& p) { found = p; });
    return found;
  }
  template <class Body>
  void for_places(int64_t begin, int64_t end, Body body) const {
    const Nest& rows = work_.plan.units;
    Place place;
    for_runs(rows, begin * together_, std::min(end * together_, rows.size()),
             [&](int64_t, Offsets at, int64_t count) {
               for (int64_t i = 0; i < count; ++i) {
                 place.at[place.count++] = at;
                 if (place.count == together_) {
                   body(place);
                   place.count = 0;
                 }
                 if (i + 1 < count) at.add(rows.inner().step, 1);
               }
             });
    if (place.count > 0) body(place);
  }
  int64_t chunks() const { return sequence_.chunks(); }
  int64_t part_size() const { return Parts::size(together_); }

  void reduce(const Place& place, int64_t c, double* part) const {
    for (int64_t i = 0; i < place.count; ++i) {
      parts(part).set(i, sequence_.chunk(place.at[i], c));
    }
  }
  void merge_into(const Place& place, double* total, double* part) const {
    const Parts all = parts(total), more = parts(part);
    for (int64_t i = 0; i < place.count; ++i) {
      all.set(i, merge(work_.reduction(), all[i], more[i]));
    }
  }

  void finish(const Place& place, double* total, State& state) const {
    const int64_t n = place.count;
    const auto each = [&](auto body) {
      for (int64_t i = 0; i < n; ++i) body(i, place.at[i]);
    };
    Found<kTogether>& found = state.found;
    if (work_.given_rstd) {
      each([&](int64_t i, const Offsets& at) { found.set(i, sequence_.given(at)); });
    } else {
      find(work_, kernels_, sequence_, parts(total), n, found, each);
    }
    if (!work_.y) return;
    double weight[kTogether], bias[kTogether];
    each([&](int64_t i, const Offsets& at) {
      const T* w = follows_ ? pointer<T>(work_.weight, at[kWeight]) : nullptr;
      const T* b = follows_ ? pointer<T>(work_.bias, at[kBias]) : nullptr;
      weight[i] = w ? static_cast<double>(*w) : kNoWeight;
      bias[i] = b ? static_cast<double>(*b) : kNoBias;
    });
    const bool fit = kernels_.make_maps(found.mean, found.mean_lo, found.rstd, weight, bias, n,
                                        state.center, state.scale, state.shift);
    // One by one where that is not so for all, or data has to be scaled first.
    each([&](int64_t i, const Offsets&) {
      Normalizer<T> map;
      state.fits[i] =
          (fit && found.pre[i] == 1) || fold(kernels_, found[i], weight[i], bias[i], map);
    });
  }

  void apply(const Place& place, int64_t c, const State& state) const {
    const int64_t begin = c * kRowChunk;
    const int64_t end = std::min(nest_.size(), begin + kRowChunk);
    for (int64_t i = 0; i < place.count; ++i) {
      const Offsets& at = place.at[i];
      const Normalizer<T> map = {state.center[i], state.scale[i], state.shift[i]};
      if (!state.fits[i]) {
        const Statistic exact = state.found[i];
        apply_tiles(at, begin, end, map, &exact);
      } else if (direct_) {
        apply_direct(at, begin, end, map);
      } else if (runs_) {
        apply_runs(at, begin, end, map);
      } else {
        apply_tiles(at, begin, end, map, nullptr);
      }
    }
  }

 private:
  Parts parts(double* p) const { return {p, together_}; }

  void apply_direct(const Offsets& at, int64_t begin, int64_t end, const Normalizer<T>& map) const {
    const auto& direct = kernels_.of(work_.x.type);
    for_runs(nest_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      const char* x = work_.x.data + at[kX] + o[kX];
      char* y = work_.y.data + at[kY] + o[kY];
      const T* w = follows_ ? nullptr : pointer<T>(work_.weight, at[kWeight] + o[kWeight]);
      const T* b = follows_ ? nullptr : pointer<T>(work_.bias, at[kBias] + o[kBias]);
      if (work_.stream) {
        direct.stream_row(x, y, count, map, w, b, step_, ahead_);
      } else {
        direct.apply_row(x, y, count, map, w, b, step_);
      }
    });
  }

  void apply_runs(const Offsets& start, int64_t begin, int64_t end,
                  const Normalizer<T>& map) const {
    const auto apply_row = kernels_.of(kTypeOf<T>).apply_row;
    for_runs(nest_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      Offsets at = start;
      at.add(o, 1);
      for_pieces(0, count, [&](int64_t b, int64_t e) {
        const T* weight = follows_ ? nullptr : pointer<T>(work_.weight, at[kWeight]);
        const T* bias = follows_ ? nullptr : pointer<T>(work_.bias, at[kBias]);
        normfast::map_run(work_, kernels_, at, e - b, [&](const T* x, T* y) {
          apply_row(x, y, e - b, map, weight, bias, step_);
        });
        if (nest_.ndim() > 0) at.add(nest_.inner().step, e - b);
      });
    });
  }

  // In float64 where the statistic is given as well.
  void apply_tiles(const Offsets& at, int64_t begin, int64_t end, const Normalizer<T>& map,
                   const Statistic* exact) const {
    const auto apply_row = kernels_.of(kTypeOf<T>).apply_row;
    for_pieces(begin, end, [&](int64_t b, int64_t e) {
      T x[kGroup];
      const int64_t count = e - b;
      fetch_input(work_, kernels_, nest_, at, b, e, x);
      if (work_.sum) put(kernels_, work_.sum, nest_, kSum, at, b, e, x);
      if (!exact && follows_) {
        apply_row(x, x, count, map, nullptr, nullptr, 0);
      } else {
        const AffineTile<T> affine(work_, nest_, at, b, e);
        if (!exact) {
          apply_row(x, x, count, map, affine.weight, affine.bias, 1);
        } else {
          apply_exact(*exact, x, x, count, affine.weight, affine.bias);
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
  const int64_t together_;
  bool direct_;    // a kernel of x's own type does it, where all lies
  bool runs_;      // all lies in runs
  int64_t ahead_;  // bytes from x to the rows after these
  int64_t step_;   // of weight and bias, where they lie directly
};

}  // namespace normfast
