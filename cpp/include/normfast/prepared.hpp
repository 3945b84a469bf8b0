// An operation prepared once and run many times, on other arrays that lie alike: checks of options,
// layout and conversion of parameters are done beforehand. A run in the calling thread (num_threads
// = 1, or blocks) starts no thread and, after the first of each thread, allocates no memory (but
// for a whole run of long lines of channels beyond the caches, which does before it writes).
//
//     const auto norm = normfast::prepare(x, normfast::axis(1), options);  // options.out: a View
//     norm.run({x.data, y.data});
//
// Arrays that a run is given are x, out and what is read or written in step with them: residual or
// add, and sum. Their views say how they lie; the pointers in them are ignored and may be null.
// All else, parameters and masks, is read when it is prepared, and again in runs: it has to stay as
// it is. A Prepared is a value that may be run by many threads at once, each on arrays of its own.
#pragma once

#include <memory>

#include "normfast/normfast.hpp"

namespace normfast {

struct Arrays {
  const void* x = nullptr;
  void* out = nullptr;
  const void* addend = nullptr;  // residual, or add
  void* sum = nullptr;
  Statistics statistics;

  Arrays(const void* x_data, void* out_data) : x(x_data), out(out_data) {}
};

class NORMFAST_API Prepared {
 public:
  // Checks how the arrays overlap, and throws ValueError before anything is written.
  void run(const Arrays& arrays) const;

  // The same by parts, for the threads of the caller: whoever runs every block of [0, blocks())
  // once, in any order and at once or not, gets the bits of a whole run. In place too: no block
  // reads what another writes. A block is never less than a statistic; if those are given
  // (batch_norm in evaluation, standardize) they are not reported.
  std::int64_t blocks() const;
  void run(const Arrays& arrays, std::int64_t first_block, std::int64_t last_block) const;

  class Call;
  explicit Prepared(std::shared_ptr<const Call> call);  // prepare() does

 private:
  std::shared_ptr<const Call> call_;
};

// In training, batch_norm and instance_norm are prepared without running statistics: a run changes
// nothing but its arrays. It can report what the caller needs to update them. A run of mean_var has
// x and statistics, no out; the g of weight_norm is a parameter.
NORMFAST_API Prepared prepare(const View& x, Axes reduced, const MeanVar& options);
NORMFAST_API Prepared prepare(const View& x, Axes reduced, const LayerNorm& options);
NORMFAST_API Prepared prepare(const View& x, Axes reduced, const RmsNorm& options);
NORMFAST_API Prepared prepare(const View& x, Axes channels, const BatchNorm& options);
NORMFAST_API Prepared prepare(const View& x, int channel_axis, const InstanceNorm& options);
NORMFAST_API Prepared prepare(const View& x, std::int64_t num_groups, int channel_axis,
                              const GroupNorm& options);
NORMFAST_API Prepared prepare(const View& x, Axes reduced, const Normalize& options);
NORMFAST_API Prepared prepare(const View& v, const View& g, Axes channels,
                              const WeightNorm& options);
NORMFAST_API Prepared prepare(const View& x, Axes reduced, const Standardize& options);
NORMFAST_API Prepared prepare(const View& image, const NormalizeImage& options);

}  // namespace normfast
