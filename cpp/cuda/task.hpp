// One call as the kernels take it: plain values, passed by value.
#pragma once

#include "run/work.hpp"

namespace normfast::cuda {

// a / b, which need not be narrow, but mostly are: then in 32 bits, which is several times as fast.
constexpr int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

constexpr int64_t remainder(int64_t a, int64_t b) { return a - quotient(a, b) * b; }

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// x as it lies in memory, x[unit][line][group][run], without gaps: each (unit, group) has a
// statistic. A line is all groups of one line, side by side; its elements are lanes.
struct Shape {
  int64_t units = 1, lines = 1, groups = 1, run = 1;

  constexpr int64_t lanes() const { return groups * run; }
  constexpr int64_t statistics() const { return units * groups; }
  constexpr int64_t count() const { return lines * run; }
};

// A parameter and which of its entries an element takes: lanes divided by `per_lane` (then modulo
// `wrap`, if not 0) walk through it, and `step` entries on for each of `period` times `per_line`
// lines (counted through all units).
struct Lookup {
  Array array;
  bool vectors = false;  // each lane has its own, and they may be loaded by whole vectors
  float offset = 0;      // is added
  int64_t per_lane = 1, wrap = 0, per_line = 1, period = 1, step = 0;

  constexpr int64_t of_line(int64_t line) const {
    return step == 0 ? 0 : remainder(quotient(line, per_line), period) * step;
  }
  constexpr int64_t of_lane(int64_t lane) const {
    const int64_t i = per_lane == 1 ? lane : quotient(lane, per_lane);
    return wrap == 0 ? i : remainder(i, wrap);
  }
};

// Where the caller has a statistic: those of x's order in memory, by the caller's order of axes.
struct Places {
  static constexpr int kMost = 8;
  int n = 0;
  int64_t size[kMost], step[kMost];

  constexpr int64_t of(int64_t statistic) const {
    int64_t place = 0;
    for (int d = n - 1; d > 0; --d) {
      place += statistic % size[d] * step[d];
      statistic /= size[d];
    }
    return n == 0 ? 0 : place + statistic * step[0];
  }
};

// How a statistic is read: a row held in registers; a sequence of pieces, by chunks; lanes, by
// chunks of lines.
enum class Form { kRow, kPieces, kLanes };

// y = (x * pre - center) * scale + shift. `pre` is a power of two, 1 but near the ends of the range
// of float32.
struct alignas(16) Map {
  float pre, center, scale, shift;
};

struct Running {
  Array mean, var;
  double momentum = 0;
  double correction = 1;  // of the variance
  int64_t* batches = nullptr;
  bool cumulative = false;  // momentum is one over the number of batches
  int64_t channels = 0;
  // Averaged over samples: of the statistic of a sample and a channel.
  int64_t samples = 1, sample_step = 0, channel_step = 1;
};

struct Task {
  Shape shape;
  Array x, y, addend, sum;
  bool residual = false;  // the addend is added to x, else to the result
  Activation activation = Activation::kNone;
  Lookup weight, bias;

  Rule rule;
  Reduction reduction = Reduction::kMoments;  // that of the rule
  float tiny = 0;                             // squares whose mean is below it are taken in float64
  Lookup mean, scale;  // known statistics: what is subtracted; what, plus `plus`, or the root of
  double plus = 0;     // that, is divided by
  bool root = false;

  double* out_mean = nullptr;
  double* out_scale = nullptr;
  Moments* out_moments = nullptr;  // for running statistics
  Places places;
  Running running;

  // How the work is cut.
  Form form = Form::kRow;
  int width = 1;                  // elements of a vector
  bool whole = true;              // vectors are aligned: one instruction moves each
  int group = 1;                  // threads a row, or in finalize a statistic
  int across = 1;                 // vectors side by side in a block
  int64_t chunk = 0, chunks = 1;  // elements (pieces) or lines (lanes) between merges
  int64_t block_lines = 1;        // in apply, lines a block
  Moments* partials = nullptr;
  Map* maps = nullptr;

  constexpr bool known() const { return scale.array.data != nullptr; }
  constexpr bool in_pieces() const { return form == Form::kPieces; }
  constexpr bool reports() const { return out_mean || out_scale || out_moments; }
  // Partial moments a chunk.
  constexpr int64_t partial_width() const { return in_pieces() ? shape.groups : shape.lanes(); }
};

struct Grid {
  int64_t blocks;
  int threads;
};

}  // namespace normfast::cuda
