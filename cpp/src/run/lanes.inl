// Statistics of lanes: what the rows' kernels do for a sequence, for many lanes side by side. The
// kernels only add; centres and trust are decided here, in loops over lanes. reduce.inl has the
// essay.
#pragma once

#include "run/sequence.inl"

namespace normfast {

inline constexpr int64_t kStrip = 512;  // lanes side by side at most

// The lines of one chunk, and how many of them lie side by side.
struct Lines {
  int64_t begin, end, stack;
  int64_t count() const { return (end - begin) / stack; }
};

// Lanes [begin, end) of the unit that starts at x.
struct Strip {
  const char* x;
  int64_t begin, end;
  int64_t width() const { return end - begin; }
};

struct Lanes {
  double mean[kStrip], mean_lo[kStrip], m2[kStrip];
};

template <class T>
class LaneReducer {
 public:
  LaneReducer(const Work& work, const Kernels<T>& kernels, bool reads)
      : reduction_(work.rule.reduction()),
        add_lines_(kernels.add_lines[static_cast<int>(reduction_)]),
        add_lines_exact_(kernels.add_lines_exact[static_cast<int>(reduction_)]),
        lines_(work.plan.lines),
        line_(work.plan.strip),
        tiny_(tiny_square<T>(work.rule.eps)),
        reads_(reads) {}

  // Mean and m2 of each lane over the lines; stacked lanes follow one another.
  void reduce(const Strip& strip, const Lines& lines, Lanes& out) const {
    const int64_t width = strip.width() * lines.stack;
    const int64_t n = lines.count();
    if (n <= kLineGroup) return reduce_exact(strip, lines, 0, width, out);
    const double count = static_cast<double>(n);
    double sum[kStrip], square[kStrip];
    T center[kStrip];
    bool failed[kStrip];
    const T* shift = nullptr;
    const auto zero = [&] {
      std::fill_n(sum, width, 0.0);
      std::fill_n(square, width, 0.0);
    };
    const auto add = [&](int64_t first) {
      for_groups(strip, lines, first, [&](const Block& b, int64_t m) {
        add_lines_(b.x, b.stride, m, width, shift, sum, square);
      });
    };
    zero();
    if (reduction_ == Reduction::kMoments) {
      // The probe of the first group: lanes whose mean is far from zero are summed about it.
      const Block b =
          block(strip, lines.begin, lines.begin + kLineGroup * lines.stack, lines.stack);
      add_lines_(b.x, b.stride, kLineGroup, width, nullptr, sum, square);
      bool all_centred = true;
      for (int64_t l = 0; l < width; ++l) {
        const double mean = sum[l] / kLineGroup;
        const bool centred = square[l] - sum[l] * mean >= 0.6 * square[l];
        center[l] = centred ? T(0) : static_cast<T>(mean);
        all_centred &= centred;
      }
      if (!all_centred) {
        shift = center;
        zero();
      }
      add(all_centred ? 1 : 0);
    } else {
      std::fill_n(center, width, T(0));
      add(0);
    }
    int64_t first_failed = width, last_failed = -1;
    for (int64_t l = 0; l < width; ++l) {
      const double s = sum[l], q = square[l], t = s / count;
      double m2 = q;
      bool trusted = q - q == 0;  // finite
      if (reduction_ == Reduction::kMoments) {
        m2 = q - s * t;
        trusted &= m2 >= 0.5 * q && q >= tiny_ * count;
      } else if (reduction_ == Reduction::kSquares) {
        trusted &= q >= tiny_ * count;
      } else if (reduction_ == Reduction::kMaximum) {
        trusted = true;
      }
      failed[l] = !trusted;
      if (!trusted) {
        first_failed = std::min(first_failed, l);
        last_failed = l;
      }
      two_sum(static_cast<double>(center[l]), t, out.mean[l], out.mean_lo[l]);
      if (reduction_ != Reduction::kMoments) out.mean[l] = out.mean_lo[l] = 0;
      out.m2[l] = m2;
    }
    if (last_failed < 0) return;
    // One more pass, however many lanes failed. A lane's sums are its own, whoever is beside it.
    Lanes exact;
    reduce_exact(strip, lines, first_failed, last_failed + 1, exact);
    for (int64_t l = first_failed; l <= last_failed; ++l) {
      if (!failed[l]) continue;
      out.mean[l] = exact.mean[l];
      out.mean_lo[l] = exact.mean_lo[l];
      out.m2[l] = exact.m2[l];
    }
  }

 private:
  struct Block {
    const T* x;
    int64_t stride;
  };

  // Lines [begin, end): where they lie if that is regular, through the tile otherwise.
  Block block(const Strip& strip, int64_t begin, int64_t end, int64_t stack) const {
    const int64_t width = strip.width();
    const int64_t unit = sizeof(T);
    if (reads_) {
      const int64_t step = lines_.inner_step(kX);
      Block found = {nullptr, step * stack / unit};
      for_runs(lines_, begin, end, [&](int64_t i, const Offsets& o, int64_t count) {
        if (i == begin && count == end - begin && (stack == 1 || step == width * unit)) {
          found.x = reinterpret_cast<const T*>(strip.x + o[kX]) + strip.begin;
        }
      });
      if (found.x) return found;
    }
    T* p = tile<T>();
    for_runs(lines_, begin, end, [&](int64_t i, const Offsets& o, int64_t count) {
      for (int64_t k = 0; k < count; ++k) {
        gather(line_, kX, strip.x + o[kX] + k * lines_.inner_step(kX), strip.begin, strip.end,
               p + (i + k - begin) * width);
      }
    });
    return {p, width * stack};
  }

  // body(block, lines) for each group of the chunk from group `first` on.
  template <class Body>
  void for_groups(const Strip& strip, const Lines& lines, int64_t first, Body body) const {
    const int64_t group = kLineGroup * lines.stack;
    for (int64_t b = lines.begin + first * group; b < lines.end; b += group) {
      const int64_t e = std::min(lines.end, b + group);
      body(block(strip, b, e, lines.stack), (e - b) / lines.stack);
    }
  }

  // Lanes [first, last) in float64, about their first element; see reduce.inl.
  void reduce_exact(const Strip& strip, const Lines& lines, int64_t first, int64_t last,
                    Lanes& out) const {
    const int64_t n = lines.count(), width = last - first;
    const double count = static_cast<double>(n);
    double center[kStrip], sum[kStrip], square[kStrip];
    std::fill_n(center, width, 0.0);
    const bool moments = reduction_ == Reduction::kMoments;
    const bool again = moments && sizeof(T) == sizeof(double) && n > kRowDirect;
    for (int pass = 0; pass < (again ? 2 : 1); ++pass) {
      for (int64_t l = 0; l < width && pass > 0; ++l) center[l] += sum[l] / count;
      std::fill_n(sum, width, 0.0);
      std::fill_n(square, width, 0.0);
      bool started = !moments || pass > 0;
      for_groups(strip, lines, 0, [&](const Block& b, int64_t m) {
        const T* x = b.x + first;
        for (int64_t l = 0; l < width && !started; ++l) center[l] = static_cast<double>(x[l]);
        started = true;
        add_lines_exact_(x, b.stride, m, width, center, sum, square);
      });
    }
    for (int64_t l = 0; l < width; ++l) {
      const double s = sum[l], q = square[l], t = s / count;
      const double m2 = moments ? q - s * t : q;
      two_sum(center[l], moments ? t : 0, out.mean[first + l], out.mean_lo[first + l]);
      out.m2[first + l] = m2 < 0 ? 0 : m2;
    }
  }

  const Reduction reduction_;
  const typename Kernels<T>::AddLines add_lines_;
  const typename Kernels<T>::AddLinesExact add_lines_exact_;
  const Nest& lines_;
  const Nest& line_;
  const double tiny_;
  const bool reads_;  // lanes can be walked where they lie
};

}  // namespace normfast
