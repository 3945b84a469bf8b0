// From axes, shape and strides to the canonical problem. Pure: no data, no SIMD, no machine.
//
// Some dimensions are reduced (their elements share a mean and variance), the rest are kept. Sorted
// by the strides of x they read from the outside in, for example, as "kept reduced" (layer norm) or
// "reduced kept" (batch norm, channels last). Which of two forms the problem has depends on that
// order and on the sizes alone, never on gaps, so that a strided array gives the bits of its copy:
//
// rows     a statistic is a sequence of elements, all its reduced dimensions in order;
// columns  a statistic is a lane: the innermost dimensions lie side by side, `lines` of them are
//          accumulated. Lanes may then be merged into one statistic, `fold` neighbours (short
//          planes, channels-last groups) or `stack` lines laid side by side (few channels).
#pragma once

#include "plan/nest.hpp"

namespace normfast {

inline constexpr int64_t kFold = 128;        // inner reduced sizes under this are folded
inline constexpr int64_t kStackBelow = 16;   // fewer lanes than this are stacked,
inline constexpr int64_t kStack = 16;        // so many lines side by side,
inline constexpr int64_t kStackLines = 512;  // where there are at least so many

struct Layout {
  int ndim = 0;
  Dim dims[kMaxDims + 1];
  bool reduced[kMaxDims + 1];
  bool given = false;  // the statistics are: nothing is reduced, only mapped

  Layout() noexcept {}
  // A dimension inside the others, for the caller to fill in: written where it stays, so that a
  // copy need not wait for what was just stored.
  Dim& push(bool is_reduced) {
    reduced[ndim] = is_reduced;
    return dims[ndim++];
  }
  // Cuts a dimension into `parts` kept pieces, whose elements are reduced.
  void cut(int dim, int64_t parts) {
    for (int i = ndim++; i > dim; --i) {
      dims[i] = dims[i - 1];
      reduced[i] = reduced[i - 1];
    }
    const int64_t each = dims[dim].size / parts;
    Dim& outer = dims[dim];
    outer.size = parts;
    for (int64_t& step : outer.step.at) step *= each;
    dims[dim + 1].size = each;
    reduced[dim] = false;
    reduced[dim + 1] = true;
  }
};

// The dimensions but those of size 1, outermost in memory first: fills `order` and says how many.
int memory_order(const Layout& layout, int* order);

enum class Form { kRows, kColumns };

struct Plan {
  Form form = Form::kRows;
  Nest units;     // kept dimensions, one statistic (rows) or one set of lanes (columns) each; rows
                  // whose statistics are given: all outside the innermost run of one, so that
                  // they follow one another as in memory
  Nest sequence;  // all reduced dimensions, joined wherever x allows it: reads one statistic
  Nest apply;     // the same, joined where every operand allows it
  // Columns only.
  Nest lines;  // the reduced dimensions that are not lanes
  Nest lanes;  // the innermost dimensions,
  Nest strip;  // joined wherever x, y and what is beside them allow: one line
  int64_t fold = 1;
  int64_t stack = 1;

  int64_t count() const { return sequence.size(); }
  // Weight and bias are constant over each statistic (rows) or down each lane (columns).
  bool affine_follows() const {
    const Nest& within = form == Form::kRows ? apply : lines;
    return within.still(kWeight) && within.still(kBias);
  }
};

// Fills a plan where it lies: it is too large to copy in a short call.
void make_plan(const Layout& layout, Plan& plan);

}  // namespace normfast
