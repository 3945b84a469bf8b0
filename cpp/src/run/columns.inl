// Columns: a unit is a strip of lanes that stays in cache, a part is the Moments of each of its
// statistics over one chunk of lines.
#pragma once

#include <numeric>
#include <vector>

#include "run/lanes.inl"

namespace normfast {

inline constexpr int64_t kVector = 16;
inline constexpr int64_t kBand = 16 * 1024;    // elements of a band of lines,
inline constexpr int64_t kLeastBand = 4;       // and its lines at least: each uses the maps
inline constexpr int64_t kStays = 512 * 1024;  // bytes
inline constexpr int64_t kFoldedRow = 24;  // lanes of one statistic, from which on they are a row

template <class T>
class Columns {
 public:
  struct Place {
    Offsets at;
    int64_t begin, end;  // lanes
  };

  // A statistic beyond the fast kernels, and which map of its strip it would have.
  struct Exact {
    int64_t map;
    Statistic statistic;
  };

  // A map a row of lanes; or one a lane, of as many lines as `repeat` says side by side, then those
  // of one vector more.
  struct State {
    T* center;
    T* scale;
    T* shift;
    int64_t repeat;
    std::vector<Exact> exact;
  };
  // Room for the maps of one strip.
  static constexpr int64_t kRoom = 3 * (kStrip + kVector);
  static void hold(State& state, T* room, int64_t each = kStrip + kVector) {
    state.center = room, state.scale = room + each, state.shift = room + 2 * each;
  }

  Columns(const Work& work, const Kernels<T>& kernels)
      : work_(work),
        kernels_(kernels),
        reduction_(work.reduction()),
        sequence_(work, kernels),
        lines_(work.plan.lines),
        lanes_(work.plan.lanes),
        line_(work.plan.strip),
        fold_(work.plan.fold),
        stack_(work.plan.stack),
        follows_(work.plan.affine_follows()),
        left_(left_after_map(work, follows_)),
        reads_(walks(kX, work.x)),
        direct_(maps_in_place(work, kernels, work.x.type, left_) && !work.residual() && reads_ &&
                walks(kY, work.y) && (!work.adds() || walks(kAddend, work.addend))),
        reducer_(work, kernels, reads_) {
    const auto shared = [&](const char* p, Operand o) { return !p || lanes_.inner_step(o) == 0; };
    shares_ = fold_ > 1 && lanes_.inner_size() % fold_ == 0 && shared(work.weight, kWeight) &&
              shared(work.bias, kBias);
    by_rows_ = shares_ && follows_ && direct_ && fold_ >= kFoldedRow;
    const bool regular =
        fold_ > 1 ? lanes_.ndim() == 2 && lanes_.inner_size() == fold_ : lanes_.ndim() == 1;
    statistics_ = regular ? &lanes_[0] : nullptr;
    // Whole vectors, and whole statistics. As many maps as there is room for, where nothing is
    // reduced before.
    const int64_t both = std::lcm(fold_, kVector);
    const int64_t unit_lanes = both <= kStrip ? both : fold_;
    const int64_t most = work.given_rstd && by_rows_               ? kStrip * fold_
                         : work.far && !work.y && reducer_.walks() ? kWideStrip
                                                                   : kStrip;
    strip_ = std::min(lanes_.size(), most / unit_lanes * unit_lanes);
    cuts_ = direct_ && fold_ == 1 && even(lines_) && even(work.plan.units);
    lead_ = cuts_ && strip_ < lanes_.size() ? beyond_line() : 0;
    strips_ = (lanes_.size() + lead_ + strip_ - 1) / strip_;
    step_ = affine_lies<T>(work, lanes_, 0) ? 0 : 1;
    runs_ = line_.ndim() <= 1 && lie_in_runs(work, line_);
    const auto dense = [&](const Array& a, Operand o) {
      return !a || lines_.inner_step(o) == lanes_.size() * a.unit();
    };
    dense_ = dense(work.x, kX) && dense(work.y, kY) && dense(work.addend, kAddend) &&
             dense(work.sum, kSum);
    affine_lies_ = lanes_.ndim() <= 1 && !work.adds() && affine_lies<T>(work, lanes_, step_) &&
                   reachable<T>(work, lanes_) && reachable<T>(work, lines_) &&
                   reachable<T>(work, work.plan.units);
  }

  static constexpr int64_t kMostPart = Parts::size(kWideStrip);
  int64_t units() const { return work_.plan.units.size() * strips_; }
  int64_t chunks() const { return full_chunks() + (lines_.size() % stack_ != 0); }
  int64_t part_size() const { return Parts::size(strip_ / fold_); }

  Place place(int64_t unit) const {
    const int64_t begin = unit % strips_ * strip_ - lead_;
    return {offsets_of(work_.plan.units, unit / strips_), std::max<int64_t>(begin, 0),
            std::min(lanes_.size(), begin + strip_)};
  }

  template <class Body>
  void for_places(int64_t begin, int64_t end, Body body) const {
    for (int64_t unit = begin; unit < end; ++unit) body(place(unit));
  }

  void reduce(const Place& place, int64_t c, double* part) const {
    const Lines lines = lines_of(c);
    const Strip strip = {place.at, place.begin, place.end};
    const int64_t members = lines.stack * fold_;
    if (members == 1) return reducer_.reduce(strip, lines, parts(part));
    double memory[Parts::size(kWideStrip)];
    const Parts lanes = {memory, kWideStrip};
    reducer_.reduce(strip, lines, lanes);
    join(lanes, strip.width() / fold_, members, parts(part));
  }

  void merge_into(const Place& place, double* total, double* part) const {
    const int64_t statistics = (place.end - place.begin) / fold_;
    const Parts all = parts(total), more = parts(part);
    for (int64_t s = 0; s < statistics; ++s) all.set(s, merge(reduction_, all[s], more[s]));
  }

  // From the statistics of the strip to the maps of all lanes.
  void finish(const Place& place, double* total, State& state) const {
    const int64_t n = (place.end - place.begin) / fold_;
    Found<kWideStrip> found;
    StatisticArrays statistics = found.arrays();
    if (work_.given_rstd) {
      statistics = {nullptr, given(place, work_.given_mean, found.mean), nullptr,
                    given(place, work_.given_rstd, found.rstd)};
    } else {
      find(
          work_, kernels_, sequence_, parts(total), n, found,
          [&](auto body) { for_statistics(place, body); },
          [&](double* to, const double* values) { store(place, values, to); });
    }
    if (work_.y) make_maps(place, statistics, state);
  }

  void apply(const Place& place, int64_t c, const State& state, Seam& seam) const {
    const Lines lines = lines_of(c);
    apply(place, lines.begin, lines.end, state, seam);
  }

  // The same work cut for walking memory in order, all strips of a few lines at a time.
  static constexpr bool kHasBands = true;
  int64_t strips() const { return strips_; }
  // What is read of a strip is still in the second cache when it is applied.
  bool stays() const { return cuts_ && lines_.size() * strip_ * work_.x.unit() <= kStays; }
  int64_t bands() const { return (lines_.size() + band() - 1) / band(); }
  // The maps of all strips of a unit side by side, so that lines may be applied whole.
  int64_t joined_room() const { return 3 * maps_of(lanes_.size()); }
  void hold_joined(State* states, T* room) const {
    for (int64_t s = 0; s < strips_; ++s) {
      hold(states[s], room + maps_of(place(s).begin), maps_of(lanes_.size()));
    }
  }
  bool joins(const State* states) const {
    const auto exact = [](const State& s) { return !s.exact.empty(); };
    return direct_ && (follows_ || affine_lies_) && std::none_of(states, states + strips_, exact);
  }

  // Lines of all strips from `unit` on, whole where their maps are joined.
  void apply_band(int64_t unit, int64_t b, const State* states, bool joined, Seam& seam) const {
    const int64_t begin = b * band(), end = std::min(lines_.size(), begin + band());
    if (!joined) {
      for (int64_t s = 0; s < strips_; ++s) apply(place(unit + s), begin, end, states[s], seam);
      return;
    }
    const Place all = {place(unit).at, 0, lanes_.size()};
    for_runs(lines_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      Offsets at = all.at;
      at.add(o, 1);
      apply_lines(all, at, count, states[0], 1, seam);
    });
  }

 private:
  int64_t maps_of(int64_t lanes) const { return by_rows_ ? lanes / fold_ : lanes; }
  int64_t band() const { return std::max(kLeastBand, kBand / lanes_.size()); }

  void apply(const Place& place, int64_t begin, int64_t end, const State& state, Seam& seam) const {
    const bool fits = state.exact.empty() && (follows_ || affine_lies_);
    const bool direct = by_rows_ || (direct_ && fits), run = runs_ && fits;
    for_runs(lines_, begin, end, [&](int64_t, const Offsets& o, int64_t count) {
      Offsets at = place.at;
      at.add(o, 1);
      // Lines that share their maps go together, through a tile as many as fit.
      const bool share = follows_ && state.exact.empty();
      const int64_t most = dense_ || !run ? state.repeat : 1;
      const int64_t together = direct ? count : share ? most : 1;
      for (int64_t i = 0; i < count; i += together) {
        const int64_t k = std::min(together, count - i);
        if (direct) {
          apply_lines(place, at, k, state, state.repeat, seam);
        } else if (run) {
          apply_run(place, at, k, maps(place, at, state));
        } else {
          apply_tile(place, at, k, state);
        }
        if (lines_.ndim() > 0) at.add(lines_.inner().step, k);
      }
    });
  }

  // Lines by a kernel, where they lie.
  void apply_lines(const Place& place, const Offsets& at, int64_t count, const State& state,
                   int64_t repeat, Seam& seam) const {
    if (by_rows_) return apply_rows(place, at, count, state, seam);
    apply_direct(place, at, count, maps(place, at, state), repeat, seam);
  }

  // Of lines from one on that lie in one dimension.
  LaneMaps<T> maps(const Place& place, const Offsets& at, const State& state) const {
    LaneMaps<T> by = {state.center, state.scale, state.shift};
    if (follows_) return by;
    const int64_t first = place.begin * step_;
    constexpr int64_t unit = sizeof(T);
    if (work_.weight) by.weight = pointer<T>(work_.weight, at[kWeight]) + first;
    if (work_.bias) by.bias = pointer<T>(work_.bias, at[kBias]) + first;
    by.step = step_;
    by.weight_next = lines_.inner_step(kWeight) / unit;
    by.bias_next = lines_.inner_step(kBias) / unit;
    return by;
  }

  // Bytes from x to what is read soon after so many lanes: of whole lines what follows, else the
  // next strip of the same lines.
  int64_t ahead(int64_t lanes) const {
    return lanes < lanes_.size() ? strip_ * work_.x.unit() : ahead_of(work_);
  }

  bool walks(Operand o, const Array& array) const {
    const int64_t unit = array.unit();
    return line_.ndim() <= 1 && (line_.size() == 1 || line_.inner_step(o) == unit) &&
           aligned(array.data, line_, o, unit) && aligned(array.data, lines_, o, unit) &&
           aligned(array.data, work_.plan.units, o, unit);
  }

  // All lines of y start at the same place of a cache line.
  static bool even(const Nest& nest) {
    bool ok = true;
    for (int i = 0; i < nest.ndim(); ++i) ok &= nest[i].step[kY] % 64 == 0;
    return ok;
  }
  // Lanes from there to y.
  int64_t beyond_line() const {
    const auto beyond = reinterpret_cast<std::uintptr_t>(work_.y.data) % 64;
    return static_cast<int64_t>(beyond) / work_.y.unit();
  }

  int64_t full_chunks() const { return (lines_.size() / stack_ + kLineChunk - 1) / kLineChunk; }

  // The last chunk of stacked lines is what did not fill a stack.
  Lines lines_of(int64_t c) const {
    const int64_t whole = lines_.size() / stack_ * stack_;
    if (c == full_chunks()) return {whole, lines_.size(), 1};
    const int64_t begin = c * kLineChunk * stack_;
    return {begin, std::min(whole, begin + kLineChunk * stack_), stack_};
  }

  Parts parts(double* p) const { return {p, strip_ / fold_}; }

  // `members` lanes become one statistic: neighbours, or every n-th where lines are stacked.
  void join(const Parts& lanes, int64_t n, int64_t members, const Parts& to) const {
    if (work_.alike() && reduction_ == Reduction::kMoments) {
      const double count = lanes.count()[0];
      std::fill_n(to.count(), n, count * static_cast<double>(members));
      return kernels_.join_lanes(lanes.mean(), lanes.mean_lo(), lanes.m2(), n, members, fold_ > 1,
                                 count, to.mean(), to.mean_lo(), to.m2());
    }
    const int64_t across = fold_ > 1 ? fold_ : 1, along = fold_ > 1 ? 1 : n;
    for (int64_t s = 0; s < n; ++s) {
      Moments m = lanes[s * across];
      for (int64_t i = 1; i < members; ++i) {
        m = merge(reduction_, m, lanes[s * across + i * along]);
      }
      to.set(s, m);
    }
  }

  // body(s, offsets of its first lane) for each statistic.
  template <class Body>
  void for_statistics(const Place& place, Body body) const {
    for_runs(lanes_, place.begin, place.end, [&](int64_t first, const Offsets& o, int64_t count) {
      Offsets at = place.at;
      at.add(o, 1);
      // A run is within one statistic or, unfolded, one statistic a lane.
      const int64_t l = first - place.begin;
      if (fold_ > 1) {
        for (int64_t i = (fold_ - l % fold_) % fold_; i < count; i += fold_) {
          Offsets there = at;
          there.add(lanes_.inner().step, i);
          body((l + i) / fold_, there);
        }
        return;
      }
      for (int64_t i = 0; i < count; ++i) {
        body(l + i, at);
        if (lanes_.ndim() > 0) at.add(lanes_.inner().step, 1);
      }
    });
  }

  // body(first statistic, where it is in an array of statistics, step, count) for those of a strip.
  template <class Body>
  void for_steps(const Place& place, Body body) const {
    const int64_t start = place.at[kStatistic];
    if (statistics_) {
      const int64_t each = statistics_->step[kStatistic], first = place.begin / fold_;
      return body(int64_t{0}, start + first * each, each, place.end / fold_ - first);
    }
    if (fold_ > 1) {
      return for_statistics(place, [&](int64_t s, const Offsets& at) {
        body(s, at[kStatistic], int64_t{1}, int64_t{1});
      });
    }
    const int64_t step = lanes_.inner_step(kStatistic);
    for_runs(lanes_, place.begin, place.end, [&](int64_t first, const Offsets& o, int64_t count) {
      body(first - place.begin, start + o[kStatistic], step, count);
    });
  }

  // Statistics of the strip to an array of all, and from there.
  void store(const Place& place, const double* values, double* to) const {
    for_steps(place, [&](int64_t s, int64_t i, int64_t step, int64_t count) {
      if (step == 1) {
        std::copy_n(values + s, count, to + i);
      } else {
        for (int64_t k = 0; k < count; ++k) to[i + k * step] = values[s + k];
      }
    });
  }
  // Those of the strip: where they lie side by side, or copied.
  const double* given(const Place& place, const double* all, double* copy) const {
    if (statistics_ && statistics_->step[kStatistic] == 1) {
      return all + place.at[kStatistic] + place.begin / fold_;
    }
    for_steps(place, [&](int64_t s, int64_t i, int64_t step, int64_t count) {
      for (int64_t k = 0; k < count; ++k) copy[s + k] = all[i + k * step];
    });
    return copy;
  }

  // Weight or bias of a strip that follows its lanes, the same way; null where it is not given.
  const T* affine_of(const Place& place, Operand o, const char* p, int64_t share, T* copy) const {
    if (!p || !follows_) return nullptr;
    if (statistics_ && share == fold_ && statistics_->step[o] == sizeof(T)) {
      return pointer<T>(p, place.at[o]) + place.begin / fold_;
    }
    if (share > 1) {
      for_statistics(place, [&](int64_t s, const Offsets& at) { copy[s] = *pointer<T>(p, at[o]); });
    } else {
      gather(lanes_, o, p + place.at[o], place.begin, place.end, sizeof(T), copy);
    }
    return copy;
  }

  // Each step a loop of its own. Lanes of one statistic share a map where weight and bias do not
  // tell them apart.
  void make_maps(const Place& place, StatisticArrays found, State& state) const {
    const int64_t lanes = place.end - place.begin;
    const int64_t share = shares_ ? fold_ : 1, n = lanes / share;
    Found<kStrip> spread;
    if (fold_ > share) {
      for (int64_t l = 0; l < lanes; ++l) spread.set(l, found[l / fold_]);
      found = spread.arrays();
    }
    T weights[kStrip], biases[kStrip];
    const T* const weight = affine_of(place, kWeight, work_.weight, share, weights);
    const T* const bias = affine_of(place, kBias, work_.bias, share, biases);
    const bool fit = kernels_.make_maps(found.mean, found.mean_lo, found.rstd, weight, bias, n,
                                        state.center, state.scale, state.shift);
    // Only float64 data is ever scaled.
    const bool scaled = sizeof(T) == sizeof(double) && found.pre &&
                        std::any_of(found.pre, found.pre + n, [](double p) { return p != 1; });
    state.exact.clear();
    for (int64_t i = 0; i < n && (scaled || !fit); ++i) {
      Normalizer<T> map;
      if (fold(kernels_, found[i], weight ? weight + i : nullptr, bias ? bias + i : nullptr, map)) {
        continue;
      }
      const int64_t each = by_rows_ ? 1 : share;
      for (int64_t m = i * each; m < (i + 1) * each; ++m) state.exact.push_back({m, found[i]});
    }
    state.repeat = 1;
    if (by_rows_) return;
    for (T* p : {state.center, state.scale, state.shift}) {
      for (int64_t i = n - 1; i >= 0 && share > 1; --i) std::fill_n(p + i * share, share, p[i]);
    }
    repeat(lanes, state);
  }

  void repeat(int64_t lanes, State& state) const {
    if (lanes != lanes_.size()) return;
    state.repeat = std::min(kStrip / lanes, lines_.size());
    // Whole vectors, if it can be.
    const int64_t whole = kVector / std::gcd(lanes, kVector);
    if (state.repeat > whole) state.repeat -= state.repeat % whole;
    for (T* p : {state.center, state.scale, state.shift}) {
      for (int64_t i = lanes; i < state.repeat * lanes + kVector; ++i) p[i] = p[i - lanes];
    }
  }

  // Lines where they lie; the maps of as many as `repeat` says stand side by side.
  void apply_direct(const Place& place, const Offsets& at, int64_t count, const LaneMaps<T>& maps,
                    int64_t repeat, Seam& seam) const {
    const int64_t unit = work_.x.unit(), lanes = place.end - place.begin;
    const char* x = work_.x.data + at[kX] + place.begin * unit;
    char* y = work_.y.data + at[kY] + place.begin * unit;
    const char* const addend =
        work_.adds() ? work_.addend.data + at[kAddend] + place.begin * unit : nullptr;
    const auto& direct = kernels_.of(work_.x.type);
    // `lines` lines of `width` from an element on, by the maps of that element's place in a period.
    const auto apply = [&](int64_t first, int64_t lines, int64_t width, int64_t xs, int64_t ys,
                           int64_t next, int64_t map) {
      const char* from = x + first * unit;
      char* to = y + first * unit;
      LaneMaps<T> by = maps;
      by.center += map, by.scale += map, by.shift += map;
      end_map(by.end, work_, left_, addend ? addend + first * unit : nullptr, next);
      if (work_.stream) {
        direct.stream_lines(from, xs, to, ys, lines, width, by, ahead(lanes), seam);
      } else {
        direct.apply_lines(from, xs, to, ys, lines, width, by);
      }
    };
    if (!follows_ || !dense_ || lanes != lanes_.size()) {
      return apply(0, count, lanes, lines_.inner_step(kX) / unit, lines_.inner_step(kY) / unit,
                   lines_.inner_step(kAddend) / unit, 0);
    }
    // Lines that follow one another are cut where y is aligned: half a vector that is stored holds
    // up those that are streamed.
    const int64_t period = lanes * repeat, all = count * lanes, vector = kVector * unit;
    const int64_t beyond = reinterpret_cast<std::intptr_t>(y) % vector / unit;
    const int64_t head =
        beyond && strips_ == 1 && period % kVector == 0 ? std::min(kVector - beyond, all) : 0;
    const int64_t whole = (all - head) / period, rest = (all - head) % period;
    if (head) apply(0, 1, head, 0, 0, 0, 0);
    // Kernels take two lines at a time; from memory one stream is faster than two.
    const int64_t at_once = work_.far && !work_.stream ? 1 : whole;
    for (int64_t i = 0; i < whole; i += at_once) {
      apply(head + i * period, at_once, period, period, period, period, head);
    }
    if (rest) apply(all - rest, 1, rest, 0, 0, 0, head);
  }

  // The lanes of each statistic of each line as a row; those of some in float64.
  void apply_rows(const Place& place, const Offsets& at, int64_t count, const State& state,
                  Seam& seam) const {
    const auto& direct = kernels_.of(work_.x.type);
    const int64_t unit = work_.x.unit(), lanes = place.end - place.begin, all = maps_of(lanes);
    // Rows [m, end) of a line.
    const auto apply = [&](const Offsets& o, int64_t m, int64_t end) {
      const int64_t first = (place.begin + m * fold_) * unit;
      const char* const x = work_.x.data + o[kX] + first;
      char* const y = work_.y.data + o[kY] + first;
      RowMaps<T> by = {state.center + m, state.scale + m, state.shift + m};
      end_map(by.end, work_, left_, work_.adds() ? work_.addend.data + o[kAddend] + first : nullptr,
              fold_);
      if (work_.stream) {
        direct.stream_rows(x, fold_, y, fold_, end - m, fold_, by, ahead(lanes), seam);
      } else {
        direct.apply_rows(x, fold_, y, fold_, end - m, fold_, by);
      }
    };
    for_lines(at, count, [&](int64_t, const Offsets& o) {
      int64_t m = 0;
      for (const Exact& e : state.exact) {
        if (m < e.map) apply(o, m, e.map);
        apply_row_exact(o, place.begin + e.map * fold_, e.statistic);
        m = e.map + 1;
      }
      if (m < all) apply(o, m, all);
    });
  }

  void apply_row_exact(const Offsets& at, int64_t begin, const Statistic& statistic) const {
    const int64_t end = begin + fold_;
    T x[kFold];
    fetch_input(work_, kernels_, lanes_, at, begin, end, x);
    const AffineTile<T> affine(work_, lanes_, at, begin, end);
    normfast::apply_exact(statistic, x, x, fold_, affine.weight, affine.bias);
    finish_output(work_, kernels_, lanes_, at, begin, end, x);
  }

  // One line, or several that follow one another, as a run.
  void apply_run(const Place& place, Offsets at, int64_t count, LaneMaps<T> by) const {
    const int64_t size = (place.end - place.begin) * count;
    if (line_.ndim() > 0) at.add(line_.inner().step, place.begin);
    map_run<T>(work_, kernels_, at, size, nullptr, left_, [&](const T* x, T* y, const T* addend) {
      end_map(by.end, work_, left_, addend, 0);
      kernels_.of(kTypeOf<T>).apply_lines(x, 0, y, 0, 1, size, by);
    });
  }

  // Some lines through a tile; several only where they share their maps.
  void apply_tile(const Place& place, const Offsets& at, int64_t count, const State& state) const {
    const int64_t lanes = place.end - place.begin;
    T x[kStrip], y[kStrip];
    for_lines(at, count, [&](int64_t i, const Offsets& o) {
      fetch_input(work_, kernels_, lanes_, o, place.begin, place.end, x + i * lanes);
      if (work_.sum) {
        put(kernels_, work_.sum, lanes_, kSum, o, place.begin, place.end, x + i * lanes);
      }
    });
    const auto apply = [&](const T* weight, const T* bias) {
      kernels_.of(kTypeOf<T>)
          .apply_lines(x, 0, y, 0, 1, lanes * count,
                       {state.center, state.scale, state.shift, weight, bias, 1});
    };
    if (follows_) apply(nullptr, nullptr);
    if (!follows_ || !state.exact.empty()) {
      const AffineTile<T> affine(work_, lanes_, at, place.begin, place.end);
      if (!follows_) apply(affine.weight, affine.bias);
      for (const Exact& e : state.exact) {
        y[e.map] = normfast::apply_exact(e.statistic, x[e.map],
                                         affine.weight ? affine.weight + e.map : nullptr,
                                         affine.bias ? affine.bias + e.map : nullptr);
      }
    }
    for_lines(at, count, [&](int64_t i, const Offsets& o) {
      finish_output(work_, kernels_, lanes_, o, place.begin, place.end, y + i * lanes);
    });
  }

  // body(i, offsets) for `count` lines of one run.
  template <class Body>
  void for_lines(Offsets at, int64_t count, Body body) const {
    for (int64_t i = 0; i < count; ++i) {
      body(i, at);
      if (i + 1 < count) at.add(lines_.inner().step, 1);
    }
  }

  const Work& work_;
  const Kernels<T>& kernels_;
  const Reduction reduction_;
  const Sequence<T> sequence_;
  const Nest& lines_;
  const Nest& lanes_;
  const Nest& line_;
  const int64_t fold_;
  const int64_t stack_;
  const bool follows_;
  const Activation left_;  // after the maps of the kernels
  const bool reads_;       // lanes of x can be walked where they lie,
  const bool direct_;      // those of y as well, by a kernel of their own type
  const LaneReducer<T> reducer_;
  int64_t strip_, strips_;
  bool cuts_;              // strips end with cache lines of y: two in one would wait for it
  int64_t lead_;           // lanes that the first strip lacks for that
  const Dim* statistics_;  // that steps through them; null: no one dimension does
  bool shares_;            // lanes of one statistic have one weight and bias,
  bool by_rows_;           // and are many enough to be mapped as a row
  bool runs_;              // all of a line lies in runs,
  bool dense_;             // which follow one another
  bool affine_lies_;
  int64_t step_;  // of weight and bias along the lanes, where they lie directly
};

}  // namespace normfast
