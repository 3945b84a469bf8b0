// Rows: a unit is one statistic, or several short ones side by side, which go through every step
// together; a part is the Moments of one chunk of each.
#pragma once

#include "run/statistics.inl"

namespace normfast {

// Rows that go together while they stay in the first cache; fewer where they come from memory, so
// that reads and writes alternate quickly.
inline constexpr int64_t kTogether = 16384, kTogetherFar = 6144;  // bytes
inline constexpr int64_t kTogetherLong = 4;                       // rows of halves that are longer
inline constexpr int64_t kStaged = 4 * kRowChunk;  // elements of staged rows, in the second cache
inline constexpr int64_t kDirectRun = 16;          // runs under this go through a tile
inline constexpr int64_t kWorthFetching = 65536;   // bytes, before their turn
inline constexpr int64_t kWorthAsking = 4 << 20;   // bytes of rows with gaps: not from a cache
inline constexpr Dim kNoDim = {1, {{}}};

template <class T>
class Rows {
 public:
  // Rows one step of the innermost kept dimension apart.
  struct Place {
    Offsets at;
    int64_t count;
  };

  struct State {
    Found<kRowsTogether> found;
    T center[kRowsTogether], scale[kRowsTogether], shift[kRowsTogether];
    bool fit;  // all of these are for the fast kernels
  };
  static constexpr int64_t kRoom = 0;
  static void hold(State&, T*) {}

  Rows(const Work& work, const Kernels<T>& kernels)
      : work_(work),
        kernels_(kernels),
        sequence_(work, kernels),
        nest_(work.plan.apply),
        rows_(work.plan.units),
        size_(nest_.size()),
        follows_(work.plan.affine_follows()),
        staged_(!work.given_rstd && size_ <= kRowChunk && !sequence_.lies() &&
                !sequence_.lies_in_groups() && !sequence_.plain() &&
                work.reduction() != Reduction::kSums),
        source_(staged_ ? kTypeOf<T> : work.x.type),
        step_(affine_lies<T>(work, nest_, 0) ? 0 : 1),
        ends_(follows_ || step_ == 0),
        left_(left_after_map(work, ends_)) {
    planes_side_by_side_ = staged_ && !work.weighted() && follows_ && nest_.ndim() == 2 &&
                           lie_in_runs(work, nest_) &&
                           rows_.inner_step(kX) == nest_.inner_size() * work.x.unit();
    const bool runs = nest_.ndim() <= 1 || nest_.inner_size() >= kDirectRun;
    const bool lies = follows_ || (affine_lies<T>(work, nest_, step_) && (ends_ || !work.adds()));
    runs_ = runs && lies && lie_in_runs(work, nest_);
    direct_ = runs && lies && maps_in_place(work, kernels, source_, left_) &&
              lies_in_runs(work.y, nest_, kY) &&
              (!work.adds() || lies_in_runs(work.addend, nest_, kAddend)) &&
              (staged_ || (!work.residual() && lies_in_runs(work.x, nest_, kX))) &&
              reachable<T>(work, rows_) && reachable<T>(work, nest_);
    side_by_side_ =
        nest_.ndim() <= 1 ||
        (planes_side_by_side_ && rows_.inner_step(kY) == nest_.inner_size() * work.y.unit());
    const auto follows = [&](const Array& a, Operand o) {
      return !a || rows_.inner_step(o) == size_ * a.unit();
    };
    dense_ = nest_.ndim() <= 1 && size_ <= kGroup && rows_.ndim() > 0 && follows(work.x, kX) &&
             follows(work.y, kY) && follows(work.addend, kAddend) && follows(work.sum, kSum);
    normalizes_ = normalizes();
    together_ = together();
    const int64_t next = together_ * rows_.inner_step(kX);
    ahead_ = !staged_ && next > 0 && next <= kWorthFetching ? next : 0;
    if (work.given_rstd) ahead_ = ahead_of(work);
  }

  static constexpr bool kHasBands = false;
  static constexpr int64_t kMostPart = Parts::size(kRowsTogether);

  int64_t units() const { return (rows_.size() + together_ - 1) / together_; }
  Place place(int64_t unit) const {
    Place found;
    for_places(unit, unit + 1, [&](const Place& p) { found = p; });
    return found;
  }
  template <class Body>
  void for_places(int64_t begin, int64_t end, Body body) const {
    for_runs(rows_, begin * together_, std::min(end * together_, rows_.size()),
             [&](int64_t, const Offsets& at, int64_t count) {
               Place place = {at, 0};
               for (int64_t i = 0; i < count; i += together_) {
                 place.count = std::min(together_, count - i);
                 body(place);
                 if (i + together_ < count) place.at.add(rows_.inner().step, together_);
               }
             });
  }
  int64_t chunks() const { return sequence_.chunks(); }
  int64_t part_size() const { return Parts::size(together_); }

  void reduce(const Place& place, int64_t c, double* part) const {
    const Parts to = parts(part);
    if (staged_) {
      reduce_staged(place, to);
    } else if (sequence_.lies() && size_ <= kRowChunk) {
      const int64_t unit = work_.x.unit();
      sequence_.of_rows(work_.x.data + place.at[kX], work_.x.type, rows_.inner_step(kX) / unit,
                        place.count, to);
    } else if (sequence_.selects() && size_ <= kRowChunk) {
      sequence_.of_selected(place.at, rows_, place.count, to);
    } else {
      each(place, [&](int64_t i, const Offsets& at) { to.set(i, sequence_.chunk(at, c)); });
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
    Found<kRowsTogether>& found = state.found;
    StatisticArrays statistics = found.arrays();
    const bool lie = work_.given_rstd && rows_.inner_step(kStatistic) == 1;
    if (lie) {
      const int64_t at = place.at[kStatistic];
      statistics = {nullptr, work_.given_mean + at, nullptr, work_.given_rstd + at};
    } else if (work_.given_rstd) {
      take_given(place, found);
    } else {
      find(work_, kernels_, sequence_, parts(total), n, found,
           [&](auto body) { each(place, body); });
    }
    if (!work_.y) return;
    T weight[kRowsTogether], bias[kRowsTogether];
    state.fit = kernels_.make_maps(statistics.mean, statistics.mean_lo, statistics.rstd,
                                   affine_of(place, kWeight, work_.weight, weight),
                                   affine_of(place, kBias, work_.bias, bias), n, state.center,
                                   state.scale, state.shift);
    if (lie && !state.fit) take_given(place, found);
    // Only float64 data is ever scaled.
    for (int64_t i = 0; i < n && sizeof(T) == sizeof(double) && !work_.given_rstd; ++i) {
      state.fit &= found.pre[i] == 1;
    }
  }

  // Whole rows by one kernel, or by `otherwise`, place by place.
  template <class Otherwise>
  void normalize(int64_t begin, int64_t end, Seam& seam, Otherwise otherwise) const {
    if (!normalizes_) return for_places(begin, end, otherwise);
    const auto kernel = normalizer();
    const int64_t unit = work_.x.unit();
    const Dim& rows = rows_.ndim() > 0 ? rows_.inner() : kNoDim;
    const auto from = [](double* p, int64_t i) { return p ? p + i : nullptr; };
    RowNorm<T> by = {tiny_square<T>(work_.rule),
                     divider(work_.rule, static_cast<double>(size_), 1),
                     beside_lines(work_.weight, tile<T, 4, kBesideLines>),
                     beside_lines(work_.bias, tile<T, 5, kBesideLines>),
                     left_ != work_.activation,
                     nullptr,
                     nullptr,
                     together_,
                     fetches_rows()};
    Seam sum_seam;
    RowSums<T>& sums = by.sums;
    if (work_.residual()) {
      sums.residual_next = rows.step[kAddend] / unit;
      sums.sum_next = rows.step[kSum] / unit;
      sums.seam = &sum_seam;
      sums.tile = staged_rows();
    }
    const int64_t last = std::min(end * together_, rows_.size());
    for_runs(rows_, begin * together_, last, [&](int64_t, const Offsets& first, int64_t count) {
      Place place = {first, 0};
      const Offsets& at = place.at;
      while (count > 0) {
        by.mean = from(work_.mean, at[kStatistic]);
        by.rstd = from(work_.scale, at[kStatistic]);
        if (work_.residual()) sums.residual = work_.addend.data + at[kAddend];
        if (work_.sum) sums.sum = work_.sum.data + at[kSum];
        const int64_t done =
            kernel(work_.x.data + at[kX], rows.step[kX] / unit, work_.y.data + at[kY],
                   rows.step[kY] / unit, count, size_, by, work_.stream ? &seam : nullptr);
        place.at.add(rows.step, done);
        count -= done;
        if (count == 0) break;
        place.count = std::min(together_, count);
        if (work_.residual()) {
          normalize_staged(place, seam);
        } else {
          otherwise(place);
        }
        place.at.add(rows.step, place.count);
        count -= place.count;
      }
    });
    sum_seam.leave();
  }

  // All planes of a row by one kernel, the last first: it is still in a cache. Says whether they
  // can be.
  bool apply_planes(const Place& place, const State& state, Seam& seam) const {
    if (!state.fit || !direct_ || place.count > 1 || nest_.ndim() != 2) return false;
    Dim back = nest_[0];
    for (int64_t& step : back.step.at) step = -step;
    Block planes = {place.at, 0, 0, back.size, nest_.inner_size()};
    planes.at.add(nest_[0].step, back.size - 1);
    map_block(planes, back, true, state, seam);
    return true;
  }

  void apply(const Place& place, int64_t c, const State& state, Seam& seam) const {
    const int64_t begin = c * kRowChunk, end = std::min(size_, begin + kRowChunk);
    if (state.fit && direct_ && side_by_side_) {
      return apply_direct(place.at, 0, place.count, begin, end, state, seam);
    }
    if (state.fit && !direct_ && runs_ && dense_) return apply_dense(place, state);
    each(place, [&](int64_t i, const Offsets& at) {
      if (!state.fit && !fits(at, state.found[i])) {
        const Statistic found = state.found[i];
        apply_tiles(at, i, begin, end, state, &found);
      } else if (direct_) {
        apply_direct(at, i, 1, begin, end, state, seam);
      } else if (runs_) {
        apply_runs(at, i, begin, end, state);
      } else {
        apply_tiles(at, i, begin, end, state, nullptr);
      }
    });
  }

 private:
  auto normalizer() const {
    return kernels_.of(work_.x.type).normalize_rows[static_cast<int>(work_.reduction())];
  }

  // Weight or bias, as far into a cache line as y is where kernels map by its lines: a copy, where
  // there are rows enough to be worth it. Loads that straddle two lines take longer.
  static constexpr int64_t kWorthCopying = 16, kBesideLines = kRowChunk + 16;
  template <class Tile>
  const T* beside_lines(const char* p, Tile tile) const {
    constexpr std::uintptr_t kLine = 64;
    const T* const from = pointer<T>(p, 0);
    if (!p || rows_.size() < kWorthCopying) return from;
    const auto unit = static_cast<std::uintptr_t>(work_.y.unit());
    const bool by_lines = work_.stream || work_.y.type == kTypeOf<T>;
    const std::uintptr_t y = reinterpret_cast<std::uintptr_t>(work_.y.data) / unit;
    const std::uintptr_t beyond = (by_lines ? y : 0) * sizeof(T) % kLine;
    if (reinterpret_cast<std::uintptr_t>(p) % kLine == beyond) return from;
    return std::copy_n(from, size_, tile() + beyond / sizeof(T)) - size_;
  }

  // Rows with gaps between them: processors fetch ahead what is in the gaps, and of each row only
  // from its start on.
  bool fetches_rows() const {
    const int64_t next = rows_.inner_step(kX), size = size_ * work_.x.unit();
    return next >= size + 64 && rows_.size() * size >= kWorthAsking;
  }

  bool reports() const { return work_.mean || work_.scale; }

  // Whether there is a kernel that does all there is to do with a row.
  bool normalizes() const {
    if (work_.given_rstd || !work_.y || work_.weighted() || !normalizer()) return false;
    if (nest_.ndim() > 1 || size_ > kRowChunk) return false;
    if (work_.residual() ? !sums_lie() : !direct_ || staged_ || !sequence_.lies()) return false;
    const bool shares = step_ == 1 && rows_.still(kWeight) && rows_.still(kBias);
    if ((work_.weight || work_.bias) && !shares) return false;
    if (reports() && rows_.ndim() > 0 && rows_.inner_step(kStatistic) != 1) return false;
    if (work_.scale && work_.rule.report != Report::kReciprocal) return false;
    return !work_.adds() && !work_.count && !work_.m2;
  }

  // Rows whose sums are in their tile, and where they belong.
  void normalize_staged(const Place& place, Seam& seam) const {
    double total[kMostPart];
    State state;
    sequence_.of_rows(staged_rows(), kTypeOf<T>, size_, place.count, parts(total));
    finish(place, total, state);
    apply(place, 0, state, seam);
  }

  // Whether the kernel reads x and residual, and writes y and the sum, where they lie.
  bool sums_lie() const {
    const auto lies = [&](const Array& a, Operand o) {
      const int64_t unit = work_.x.unit();
      return !a || (a.type == work_.x.type && aligned(a.data, nest_, o, unit) &&
                    aligned(a.data, rows_, o, unit));
    };
    return runs_ && left_ == Activation::kNone && lies(work_.x, kX) && lies(work_.y, kY) &&
           lies(work_.addend, kAddend) && lies(work_.sum, kSum);
  }

  int64_t together() const {
    // Where nothing is reduced, nothing waits in a cache: enough of them for all threads.
    if (work_.given_rstd && size_ <= kRowChunk) {
      const int64_t share = rows_.size() / (8 * work_.threads);
      return std::min(std::clamp<int64_t>(share, 1, kRowsTogether), rows_.inner_size());
    }
    const int64_t elements =
        planes_side_by_side_ ? kStaged : (work_.far ? kTogetherFar : kTogether) / work_.x.unit();
    const int64_t fit = elements / size_;
    // Two at least share what they load of weight and bias. Long rows of halves take longer to
    // compute than to come.
    const bool halves = work_.x.unit() == 2 && work_.far && fit == 0;
    const int64_t least = !normalizes_ ? 1 : halves ? kTogetherLong : 2;
    return std::min(std::clamp(fit, least, kRowsTogether), rows_.inner_size());
  }

  Parts parts(double* p) const { return {p, together_}; }

  // body(i, offsets) for each row.
  template <class Body>
  void each(const Place& place, Body body) const {
    Offsets at = place.at;
    for (int64_t i = 0; i < place.count; ++i) {
      body(i, at);
      if (i + 1 < place.count) at.add(rows_.inner().step, 1);
    }
  }

  // Rows that kernels cannot read where they lie are brought into a tile once, for both passes.
  static T* staged_rows() { return tile<T, 3, kStaged>(); }
  void reduce_staged(const Place& place, const Parts& to) const {
    T* const p = staged_rows();
    if (planes_side_by_side_) {
      for_planes(place, [&](int64_t i, int64_t first, const Offsets& at) {
        fetch_ahead(work_.x.data + at[kX] + nest_[0].step[kX], nest_.inner_size() * work_.x.unit());
        fetch_run(work_, kernels_, at, nest_.inner_size(), p + i * size_ + first);
      });
      return sequence_.of_rows(p, kTypeOf<T>, size_, place.count, to);
    }
    each(place, [&](int64_t i, const Offsets& start) {
      T* const row = p + i * size_;
      if (runs_) {
        fetch_runs(work_, kernels_, nest_, start, row);
      } else {
        fetch_input(work_, kernels_, nest_, start, 0, size_, row);
        if (work_.sum) put(kernels_, work_.sum, nest_, kSum, start, 0, size_, row);
      }
      if (work_.weighted()) to.set(i, sequence_.of_tile(work_.reduction(), start, 0, size_, row));
    });
    if (!work_.weighted()) sequence_.of_rows(p, kTypeOf<T>, size_, place.count, to);
  }

  // body(i, first, offsets) for each plane of each row, in the order of memory.
  template <class Body>
  void for_planes(const Place& place, Body body) const {
    Offsets first = place.at;
    for (int64_t k = 0; k < size_; k += nest_.inner_size()) {
      each({first, place.count}, [&](int64_t i, const Offsets& at) { body(i, k, at); });
      first.add(nest_[0].step, 1);
    }
  }

  // Weight or bias of each row where it is given and constant over it; else null.
  const T* affine_of(const Place& place, Operand o, const char* p, T* copy) const {
    if (!follows_ || !p) return nullptr;
    const int64_t step = rows_.inner_step(o);
    if (step == sizeof(T)) return pointer<T>(p, place.at[o]);
    for (int64_t i = 0; i < place.count; ++i) copy[i] = *pointer<T>(p, place.at[o] + i * step);
    return copy;
  }

  void take_given(const Place& place, Found<kRowsTogether>& found) const {
    const int64_t step = rows_.inner_step(kStatistic);
    for (int64_t i = 0, at = place.at[kStatistic]; i < place.count; ++i, at += step) {
      found.set(i, {1, work_.given_mean[at], 0, work_.given_rstd[at]});
    }
  }

  // One by one where that is not so for all of them.
  bool fits(const Offsets& at, const Statistic& found) const {
    T weight, bias;
    Normalizer<T> map;
    return fold(kernels_, found, affine_of({at, 1}, kWeight, work_.weight, &weight),
                affine_of({at, 1}, kBias, work_.bias, &bias), map);
  }

  // The maps of rows from number i of their place on, by weight and bias (or none) of step_.
  RowMaps<T> maps(const State& state, int64_t i, const T* weight, const T* bias) const {
    return {state.center + i, state.scale + i, state.shift + i, 1, weight, bias, step_};
  }
  // The same as weight and bias lie from an element on; `rows` steps from a row's to the next's.
  RowMaps<T> maps(const State& state, int64_t i, const Offsets& at, const Dim* rows) const {
    // Made where it stays: a copy would wait for what was just stored.
    constexpr int64_t unit = sizeof(T);
    RowMaps<T> by = {state.center + i, state.scale + i, state.shift + i};
    by.step = step_;
    if (!follows_) {
      by.weight = pointer<T>(work_.weight, at[kWeight]);
      by.bias = pointer<T>(work_.bias, at[kBias]);
      if (rows && by.weight) by.weight_next = rows->step[kWeight] / unit;
      if (rows && by.bias) by.bias_next = rows->step[kBias] / unit;
    }
    return by;
  }

  // Rows through one kernel.
  void map_rows(const void* x, int64_t xs, char* y, int64_t ys, int64_t rows, int64_t size,
                const RowMaps<T>& by, Seam& seam) const {
    const auto& kernels = kernels_.of(source_);
    if (!work_.stream) return kernels.apply_rows(x, xs, y, ys, rows, size, by);
    kernels.stream_rows(x, xs, y, ys, rows, size, by, ahead_, seam);
  }

  // `number` runs of `size` elements, the first of them at `at`: they start with element `first` of
  // row `row` of their place, and of the rows after it or farther along the same one.
  struct Block {
    Offsets at;
    int64_t row, first, number, size;
  };

  // One kernel maps them, `next` from one run to the next. (One run may be followed by the next
  // call's. Inlined, as runs may be short.)
  [[gnu::always_inline]] void map_block(const Block& b, const Dim& next, bool same_row,
                                        const State& state, Seam& seam) const {
    const int64_t unit = size_of(source_);
    RowMaps<T> by = maps(state, b.row, b.at, b.number > 1 ? &next : nullptr);
    if (same_row) by.next = 0;
    end_map(by.end, work_, left_, work_.adds() ? work_.addend.data + b.at[kAddend] : nullptr,
            next.step[kAddend] / unit);
    const void* x = work_.x.data + b.at[kX];
    int64_t x_next = next.step[kX] / unit;
    if (staged_) {
      x = staged_rows() + b.row * size_ + b.first;
      x_next = same_row ? b.size : size_;
    }
    map_rows(x, x_next, work_.y.data + b.at[kY], b.number > 1 ? next.step[kY] / unit : b.size,
             b.number, b.size, by, seam);
  }

  // `count` rows from number i of their place on, the first of them at `start`.
  void apply_direct(const Offsets& start, int64_t i, int64_t count, int64_t begin, int64_t end,
                    const State& state, Seam& seam) const {
    const auto from = [&](const Offsets& o) {
      Offsets at = start;
      at.add(o, 1);
      return at;
    };
    if (count == 1) {
      const Dim& runs = nest_.ndim() > 1 ? nest_[nest_.ndim() - 2] : kNoDim;
      return for_rows(nest_, begin, end,
                      [&](int64_t first, const Offsets& o, int64_t number, int64_t size) {
                        map_block({from(o), i, first, number, size}, runs, true, state, seam);
                      });
    }
    for_runs(nest_, begin, end, [&](int64_t first, const Offsets& o, int64_t size) {
      map_block({from(o), i, first, count, size}, rows_.inner(), false, state, seam);
    });
  }

  // Short rows that follow one another in every array: as many as fit into a tile at a time.
  void apply_dense(const Place& place, const State& state) const {
    const int64_t most = kGroup / size_;
    const auto& kernels = kernels_.of(kTypeOf<T>);
    Offsets at = place.at;
    for (int64_t i = 0; i < place.count; i += most) {
      const int64_t rows = std::min(most, place.count - i);
      RowMaps<T> by = maps(state, i, at, &rows_.inner());
      const T* const x = staged_ ? staged_rows() + i * size_ : nullptr;
      normfast::map_run(work_, kernels_, at, rows * size_, x, left_,
                        [&](const T* from, T* to, const T* addend) {
                          end_map(by.end, work_, left_, addend, size_);
                          kernels.apply_rows(from, size_, to, size_, rows, size_, by);
                        });
      if (i + most < place.count) at.add(rows_.inner().step, most);
    }
  }

  void apply_runs(const Offsets& start, int64_t i, int64_t begin, int64_t end,
                  const State& state) const {
    const auto& kernels = kernels_.of(kTypeOf<T>);
    for_runs(nest_, begin, end, [&](int64_t first, const Offsets& o, int64_t size) {
      Offsets at = start;
      at.add(o, 1);
      for_line_pieces(work_.y.data + at[kY], work_.y.unit(), size, [&](int64_t b, int64_t e) {
        RowMaps<T> by = maps(state, i, at, nullptr);
        const T* const x = staged_ ? staged_rows() + i * size_ + first + b : nullptr;
        normfast::map_run(work_, kernels_, at, e - b, x, left_,
                          [&](const T* from, T* to, const T* addend) {
                            end_map(by.end, work_, left_, addend, 0);
                            kernels.apply_rows(from, 0, to, 0, 1, e - b, by);
                          });
        if (nest_.ndim() > 0) at.add(nest_.inner().step, e - b);
      });
    });
  }

  // In float64 where the statistic is given as well.
  void apply_tiles(const Offsets& at, int64_t i, int64_t begin, int64_t end, const State& state,
                   const Statistic* exact) const {
    const auto& kernels = kernels_.of(kTypeOf<T>);
    for_pieces(begin, end, [&](int64_t b, int64_t e) {
      T x[kGroup];
      const int64_t count = e - b;
      if (staged_) {
        std::copy_n(staged_rows() + i * size_ + b, count, x);
      } else {
        fetch_input(work_, kernels_, nest_, at, b, e, x);
        if (work_.sum) put(kernels_, work_.sum, nest_, kSum, at, b, e, x);
      }
      const auto apply = [&](const T* weight, const T* bias) {
        if (exact) return apply_exact(*exact, x, x, count, weight, bias);
        RowMaps<T> by = maps(state, i, weight, bias);
        by.step = 1;
        kernels.apply_rows(x, 0, x, 0, 1, count, by);
      };
      if (!exact && follows_) {
        apply(nullptr, nullptr);
      } else {
        const AffineTile<T> affine(work_, nest_, at, b, e);
        apply(affine.weight, affine.bias);
      }
      finish_output(work_, kernels_, nest_, at, b, e, x);
    });
  }

  const Work& work_;
  const Kernels<T>& kernels_;
  const Sequence<T> sequence_;
  const Nest& nest_;
  const Nest& rows_;
  const int64_t size_;  // elements of a row
  const bool follows_;
  const bool staged_;
  const DType source_;        // what the maps read: x where it lies, or staged rows
  const int64_t step_;        // of weight and bias, where they lie directly
  const bool ends_;           // maps may end in an addend and ReLU;
  const Activation left_;     // what of the activation is left then
  bool planes_side_by_side_;  // those of the next row follow each of a row
  int64_t together_;          // rows of a place
  bool runs_;                 // all lies in runs
  bool direct_;               // one kernel maps a run, or all runs of a row,
  bool side_by_side_;         // or those of the rows beside it
  bool dense_;                // short rows follow one another in every array
  bool normalizes_;           // one kernel does it all
  int64_t ahead_;             // bytes from x to the rows after these
};

}  // namespace normfast
