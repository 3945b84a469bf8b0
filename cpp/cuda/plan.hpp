// From a problem to a task: how x, its parameters and its statistics lie, and how the work is cut.
// Pure: no device. Cuts depend on the sizes of a statistic and the element type alone, so that
// neither what is around a statistic nor its address changes any of its bits.
#pragma once

#include "api/problem.hpp"
#include "cuda/task.hpp"

namespace normfast::cuda {

inline constexpr int kBlock = 256;     // threads of a block of `partial` and `apply`
inline constexpr int kWarpRows = 128;  // and of `row_forward`, where a warp or less holds a row
inline constexpr int kFinalizeBlock = 128;
inline constexpr int kValues = 16;            // values a thread holds of a row, at most
inline constexpr int64_t kChunk = 16384;      // pieces: elements between merges,
inline constexpr int64_t kMostChunks = 1024;  // or more, so that chunks are not more than these

// Vectors that a thread of `partial` reduces together: more than one load has to be under way, and
// all have to fit in registers.
constexpr int together(int width) { return width == 8 ? 4 : 8; }

// Rows are read once, into registers, up to this length. By single elements there are more
// instructions to a byte, and more registers to a thread.
constexpr int64_t most_row(int width) { return (width == 1 ? 512 : 1024) * kValues; }

// The largest block of `row_forward`.
constexpr int row_threads(int width, int vectors) {
  return vectors * width == kValues ? static_cast<int>(most_row(width) / kValues) : kWarpRows;
}

// How a row is held: `group` threads a row, `vectors` a thread, of `width` elements.
struct RowCut {
  int group, vectors, rows_per_block;
};
RowCut cut_row(int64_t count, int width);

// Fills in how x, parameters and statistics lie, the form and the width. Throws ValueError where
// arrays lie in another way.
void lay_out(const Problem& problem, Task& task);

// Blocks of each kernel, and what they work on.
Grid cut_rows(Task& task, const RowCut& cut);
Grid cut_partial(Task& task);
Grid cut_finalize(Task& task);
Grid cut_apply(Task& task);

}  // namespace normfast::cuda
