// Statistics of lanes: what the rows' kernels do for a sequence, for many lanes side by side. The
// kernels add, choose centers and check; which lanes are summed again is decided here. reduce.inl
// has the essay.
#pragma once

#include "run/statistics.inl"

namespace normfast {

inline constexpr int64_t kStrip = 512;       // lanes side by side at most,
inline constexpr int64_t kWideStrip = 2048;  // where they are read from memory, and read once

// The lines of one chunk, and how many of them lie side by side; or numbers of some lines.
struct Lines {
  int64_t begin, end, stack;
  const int64_t* picked = nullptr;
  int64_t count() const { return (end - begin) / stack; }
};

// Lanes [begin, end) of the unit that starts at some offsets.
struct Strip {
  Offsets at;
  int64_t begin, end;
  int64_t width() const { return end - begin; }
};

template <class T>
class LaneReducer {
 public:
  LaneReducer(const Work& work, const Kernels<T>& kernels, bool reads)
      : work_(work),
        kernels_(kernels),
        reduction_(work.reduction()),
        r_(static_cast<int>(reduction_)),
        picks_(work.masks_whole(work.plan.lanes) && work.plan.stack == 1),
        in_place_(!work.residual() && (!work.weighted() || picks_) &&
                  kernels.of(work.x.type).add_lines[r_]),
        type_(in_place_ ? work.x.type : kTypeOf<T>),
        unit_(size_of(type_)),
        add_lines_(kernels.of(type_).add_lines[r_]),
        add_lines_exact_(kernels.of(type_).add_lines_exact[r_]),
        lines_(work.plan.lines),
        line_(in_place_ ? work.plan.strip : work.plan.lanes),
        tiny_(tiny_square<T>(work.rule)),
        reads_(reads && in_place_) {}

  // Whether nothing goes through a tile, so that strips may be wide.
  bool walks() const { return reads_ && !work_.weighted() && lines_.ndim() <= 1; }

  // Mean and m2 of each lane over the lines; stacked lanes follow one another.
  void reduce(const Strip& strip, const Lines& lines, const Parts& out) const {
    const int64_t width = strip.width() * lines.stack;
    const int64_t n = lines.count();
    if (picks_) return reduce_picked(strip, pick(strip, lines), out);
    if (work_.weighted()) return reduce_weighted(strip, lines, out);
    if (reduction_ == Reduction::kSums) return reduce_sums(strip, lines, out);
    std::fill_n(out.count(), width, static_cast<double>(n));
    if (n <= kLineGroup) return reduce_exact(strip, lines, 0, width, out);
    const double count = static_cast<double>(n);
    double sum[kWideStrip], square[kWideStrip];
    T center[kWideStrip];
    std::fill_n(center, width, T(0));
    const T* shift = nullptr;
    const auto zero = [&] {
      std::fill_n(sum, width, 0.0);
      std::fill_n(square, width, 0.0);
    };
    const auto add = [&](int64_t first) {
      for_groups(strip, lines, first, [&](const Block& b, int64_t m) {
        add_lines_(b.x, b.stride, m, width, shift, sum, square, b.ahead);
      });
    };
    zero();
    if (reduction_ == Reduction::kMoments) {
      // The probe of the first group: lanes whose mean is far from zero are summed about it.
      const Block b = block(strip, lines, lines.begin, lines.begin + kLineGroup * lines.stack);
      add_lines_(b.x, b.stride, kLineGroup, width, nullptr, sum, square, b.ahead);
      if (kernels_.choose_centers(sum, square, width, center)) {
        add(1);
      } else {
        shift = center;
        zero();
        // It was read just now.
        add_lines_(b.x, b.stride, kLineGroup, width, shift, sum, square, 0);
        add(1);
      }
    } else {
      add(0);
    }
    if (settle(center, sum, square, width, count, out, 0)) return;
    bool failed[kWideStrip];
    int64_t first_failed = width, last_failed = -1;
    for (int64_t l = 0; l < width; ++l) {
      failed[l] = !trusted(sum[l], square[l], count);
      if (!failed[l]) continue;
      first_failed = std::min(first_failed, l);
      last_failed = l;
    }
    if (last_failed < 0) return;
    // One more pass, however many lanes failed. A lane's sums are its own, whoever is beside it.
    double memory[Parts::size(kWideStrip)];
    const Parts exact = {memory, kWideStrip};
    reduce_exact(strip, lines, first_failed, last_failed + 1, exact);
    for (int64_t l = first_failed; l <= last_failed; ++l) {
      if (failed[l]) out.set(l, {count, exact.mean()[l], exact.mean_lo()[l], exact.m2()[l]});
    }
  }

 private:
  struct Block {
    const char* x;
    int64_t stride;  // elements
    int64_t ahead;   // bytes to the block that is read next
  };

  // From sums about centers to Moments. Says whether all of them are known to be trusted.
  template <class Center>
  bool settle(const Center* center, const double* sum, const double* square, int64_t width,
              double count, const Parts& out, int64_t first) const {
    if (reduction_ == Reduction::kMoments) {
      double about[kWideStrip];
      std::copy_n(center, width, about);
      return kernels_.settle(about, sum, square, width, count, tiny_ * count, out.mean() + first,
                             out.mean_lo() + first, out.m2() + first);
    }
    std::fill_n(out.mean() + first, width, 0.0);
    std::fill_n(out.mean_lo() + first, width, 0.0);
    std::copy_n(square, width, out.m2() + first);
    return reduction_ == Reduction::kMaximum;
  }

  bool trusted(double s, double q, double count) const {
    const bool finite = q - q == 0;
    if (reduction_ == Reduction::kMagnitudes) return finite;
    const bool kept = reduction_ != Reduction::kMoments || q - s * (s / count) >= 0.5 * q;
    return finite && kept && q >= tiny_ * count;
  }

  // The lines that a mask selects whole.
  Lines pick(const Strip& strip, const Lines& lines) const {
    int64_t* const picked = tile<int64_t, 2>();
    int64_t n = 0;
    for_lines(strip, lines, lines.begin, lines.end, [&](int64_t i, const Offsets& at) {
      if (work_.where[at[kWhere]]) picked[n++] = lines.begin + i;
    });
    return {0, n, 1, picked};
  }

  // Lines [begin, end): where they lie if that is regular, through the tile otherwise.
  Block block(const Strip& strip, const Lines& lines, int64_t begin, int64_t end) const {
    const int64_t width = strip.width();
    if (lines.picked && lines.picked[end - 1] - lines.picked[begin] == end - 1 - begin) {
      const int64_t first = lines.picked[begin];
      return block(strip, {0, 0, 1}, first, first + (end - begin));
    }
    if (reads_ && !lines.picked) {
      const int64_t step = lines_.inner_step(kX);
      Block found = {nullptr, step * lines.stack / unit_, ahead(strip, begin, end)};
      for_runs(lines_, begin, end, [&](int64_t i, const Offsets& o, int64_t count) {
        if (i == begin && count == end - begin && (lines.stack == 1 || step == width * unit_)) {
          found.x = work_.x.data + strip.at[kX] + o[kX] + strip.begin * unit_;
        }
      });
      if (found.x) return found;
    }
    T* const p = tile<T>();
    char* const raw = reinterpret_cast<char*>(p);
    for_lines(strip, lines, begin, end, [&](int64_t i, const Offsets& at) {
      if (in_place_) {
        gather(line_, kX, work_.x.data + at[kX], strip.begin, strip.end, unit_,
               raw + i * width * unit_);
      } else {
        fetch_input(work_, kernels_, line_, at, strip.begin, strip.end, p + i * width);
      }
    });
    return {raw, width * lines.stack, 0};
  }

  // Bytes to what is read next: the next lines of the strip, after the last of them the first of
  // the next strip.
  int64_t ahead(const Strip& strip, int64_t begin, int64_t end) const {
    const int64_t step = lines_.inner_step(kX);
    if (!work_.far) return 0;
    const bool more = end < lines_.size() || strip.width() == work_.plan.lanes.size();
    return more ? (end - begin) * step : strip.width() * unit_ - begin * step;
  }

  // The weights of the same lines, side by side as theirs are.
  const double* weights(const Strip& strip, const Lines& lines, int64_t begin, int64_t end) const {
    double* const p = tile<double, 1>();
    for_lines(strip, lines, begin, end, [&](int64_t i, const Offsets& at) {
      fetch_weights(work_, kernels_, line_, at, strip.begin, strip.end, p + i * strip.width());
    });
    return p;
  }

  // body(0, 1, 2..., offsets) for lines [begin, end), or as they were picked.
  template <class Body>
  void for_lines(const Strip& strip, const Lines& lines, int64_t begin, int64_t end,
                 Body body) const {
    if (lines.picked) {
      for (int64_t i = begin; i < end; ++i) {
        Offsets at = offsets_of(lines_, lines.picked[i]);
        at.add(strip.at, 1);
        body(i - begin, at);
      }
      return;
    }
    for_runs(lines_, begin, end, [&](int64_t i, const Offsets& o, int64_t count) {
      Offsets at = strip.at;
      at.add(o, 1);
      for (int64_t k = 0; k < count; ++k) {
        body(i + k - begin, at);
        if (lines_.ndim() > 0) at.add(lines_.inner().step, 1);
      }
    });
  }

  // body(block, lines) for each group of the chunk from group `first` on.
  template <class Body>
  void for_groups(const Strip& strip, const Lines& lines, int64_t first, Body body) const {
    const int64_t group = (reduction_ == Reduction::kSums ? kByteGroup : kLineGroup) * lines.stack;
    for (int64_t b = lines.begin + first * group; b < lines.end; b += group) {
      const int64_t e = std::min(lines.end, b + group);
      body(block(strip, lines, b, e), (e - b) / lines.stack);
    }
  }

  // Lanes [first, last) in float64, about their first element; see reduce.inl.
  void reduce_exact(const Strip& strip, const Lines& lines, int64_t first, int64_t last,
                    const Parts& out) const {
    const int64_t n = lines.count(), width = last - first;
    const double count = static_cast<double>(n);
    double center[kWideStrip], sum[kWideStrip], square[kWideStrip];
    const bool moments = reduction_ == Reduction::kMoments;
    if (!moments) std::fill_n(center, width, 0.0);
    const bool again = moments && sizeof(T) == sizeof(double) && n > kRowDirect;
    for (int pass = 0; pass < (again ? 2 : 1); ++pass) {
      for (int64_t l = 0; l < width && pass > 0; ++l) center[l] += sum[l] / count;
      std::fill_n(sum, width, 0.0);
      std::fill_n(square, width, 0.0);
      bool started = !moments || pass > 0;
      for_groups(strip, lines, 0, [&](const Block& b, int64_t m) {
        const char* x = b.x + first * unit_;
        if (!started) {
          T line[kWideStrip];
          kernels_.widen[static_cast<int>(type_)](x, line, width);
          std::copy_n(line, width, center);
        }
        started = true;
        add_lines_exact_(x, b.stride, m, width, center, sum, square);
      });
    }
    settle(center, sum, square, width, count, out, first);
  }

  // Exact integers: nothing to centre, nothing to check.
  void reduce_sums(const Strip& strip, const Lines& lines, const Parts& out) const {
    const int64_t width = strip.width() * lines.stack;
    std::fill_n(out.count(), width, static_cast<double>(lines.count()));
    for (double* p : {out.mean(), out.mean_lo(), out.m2()}) std::fill_n(p, width, 0.0);
    for_groups(strip, lines, 0, [&](const Block& b, int64_t m) {
      add_lines_(b.x, b.stride, m, width, nullptr, out.mean(), out.m2(), b.ahead);
    });
  }

  // As reduce_weighted of a row: about the first element that counts, then about the mean.
  void reduce_weighted(const Strip& strip, const Lines& lines, const Parts& out) const {
    const int64_t width = strip.width() * lines.stack, group = kLineGroup * lines.stack;
    reduce_twice(
        width, out, [&](bool first, double* center, double* count, double* sum, double* square) {
          bool started[kStrip] = {};
          int64_t left = width;  // lanes that have not
          for (int64_t b = lines.begin; b < lines.end; b += group) {
            const int64_t e = std::min(lines.end, b + group), m = (e - b) / lines.stack;
            const T* x = reinterpret_cast<const T*>(block(strip, lines, b, e).x);
            const double* w = weights(strip, lines, b, e);
            for (int64_t r = 0; r < m && first && left > 0; ++r) {
              for (int64_t l = 0; l < width; ++l) {
                const int64_t i = r * width + l;
                if (started[l] || w[i] == 0) continue;
                center[l] = static_cast<double>(x[i]);
                started[l] = true;
                --left;
              }
            }
            kernels_.add_lines_weighted[r_](x, w, width, m, width, center, count, sum, square);
          }
        });
  }

  // The same bits where lines count once or not at all: what has weight 0 adds nothing.
  void reduce_picked(const Strip& strip, const Lines& lines, const Parts& out) const {
    const int64_t width = strip.width();
    reduce_twice(width, out,
                 [&](bool first, double* center, double* count, double* sum, double* square) {
                   std::fill_n(count, width, static_cast<double>(lines.end));
                   for_groups(strip, lines, 0, [&](const Block& b, int64_t m) {
                     if (first) {
                       T line[kStrip];
                       kernels_.widen[static_cast<int>(type_)](b.x, line, width);
                       std::copy_n(line, width, center);
                       first = false;
                     }
                     add_lines_exact_(b.x, b.stride, m, width, center, sum, square);
                   });
                 });
  }

  // add(first, center, count, sum, square) goes over all lines; where `first`, it sets the centres.
  template <class Add>
  void reduce_twice(int64_t width, const Parts& out, Add add) const {
    const bool moments = reduction_ == Reduction::kMoments;
    double center[kStrip], count[kStrip], sum[kStrip], square[kStrip];
    std::fill_n(center, width, 0.0);
    for (int pass = moments ? 0 : 1; pass < 2; ++pass) {
      for (double* p : {count, sum, square}) std::fill_n(p, width, 0.0);
      add(pass == 0, center, count, sum, square);
      for (int64_t l = 0; l < width && pass == 0; ++l) {
        if (count[l] > 0) center[l] += sum[l] / count[l];
      }
    }
    for (int64_t l = 0; l < width; ++l) {
      const double t = moments && count[l] > 0 ? sum[l] / count[l] : 0;
      Moments m = {count[l], 0, 0, square[l] - t * t * count[l]};
      if (m.m2 < 0) m.m2 = 0;
      if (moments && count[l] > 0) two_sum(center[l], t, m.mean, m.mean_lo);
      out.set(l, m);
    }
  }

  const Work& work_;
  const Kernels<T>& kernels_;
  const Reduction reduction_;
  const int r_;
  const bool picks_;     // lines count or not, whole
  const bool in_place_;  // the kernels of x's own type do it
  const DType type_;     // that they read
  const int64_t unit_;
  const typename DirectKernels<T>::AddLines add_lines_;
  const typename DirectKernels<T>::AddLinesExact add_lines_exact_;
  const Nest& lines_;
  const Nest& line_;
  const double tiny_;
  const bool reads_;  // lanes can be walked where they lie
};

}  // namespace normfast
