// One call, planned and validated: what every form works from.
#pragma once

#include <limits>

#include "kernels/kernels.hpp"
#include "plan/plan.hpp"
#include "run/rule.hpp"
#include "run/stage.hpp"

namespace normfast {

// x and the arrays beside it. Null: not given; y null: statistics only. Weight and bias are of the
// computing type and aligned. Where the statistics are given, nothing is reduced and the rule is
// not asked.
struct Work {
  Plan plan;
  Rule rule;
  const char* x = nullptr;
  char* y = nullptr;
  const char* weight = nullptr;
  const char* bias = nullptr;
  const double* given_mean = nullptr;
  const double* given_rstd = nullptr;
  double* mean = nullptr;
  double* scale = nullptr;
  double* m2 = nullptr;  // sums of squared deviations
  int threads = 1;
};

// Runs all of it. Either every element of y and of the statistics is written, or bad_alloc is
// thrown before the first.
template <class T>
void run(const Work& work, const Kernels<T>& kernels);

extern template void run<float>(const Work&, const Kernels<float>&);
extern template void run<double>(const Work&, const Kernels<double>&);

// One statistic of any layout as a sequence that starts at x.
template <class T>
class Sequence {
 public:
  Sequence(const Work& work, const Kernels<T>& kernels)
      : kernels_(kernels),
        nest_(work.plan.sequence),
        rule_(work.rule),
        reduce_(kernels.reduce_row[static_cast<int>(rule_.reduction())]),
        largest_(kernels.reduce_row[static_cast<int>(Reduction::kMaximum)]),
        tiny_(tiny_square<T>(rule_.eps)),
        // One statistic aligned, all are where the steps between them are whole elements.
        aligned_(aligned<T>(work.x, nest_, kX) && aligned<T>(work.x, work.plan.units, kX) &&
                 aligned<T>(work.x, work.plan.lanes, kX)),
        contiguous_(aligned_ && nest_.ndim() <= 1 &&
                    (nest_.size() == 1 || nest_.inner_step(kX) == sizeof(T))) {}

  const Kernels<T>& kernels() const { return kernels_; }
  int64_t chunks() const { return (nest_.size() + kRowChunk - 1) / kRowChunk; }

  Moments chunk(const char* x, int64_t c) const { return reduce(reduce_, x, c, 1); }

  // Float64 near the ends of its range: squares overflow or underflow. Then all is taken again,
  // multiplied by a power of two that brings the largest element near 1.
  bool out_of_range(const Moments& m) const {
    if (sizeof(T) < sizeof(double)) return false;
    if (!(m.m2 <= std::numeric_limits<double>::max())) return true;
    const bool squares = rule_.divisor != Divisor::kL1 && rule_.divisor != Divisor::kLargest;
    // Data about a mean of ordinary size cannot differ by so little that squares underflow.
    return squares && m.m2 < tiny_ * m.count && !(std::fabs(m.mean) > 0x1p-300);
  }
  Moments rescaled(const char* x, double& pre) const;

 private:
  Moments reduce(typename Kernels<T>::ReduceRow kernel, const char* x, int64_t c, double pre) const;

  const Kernels<T>& kernels_;
  const Nest& nest_;
  const Rule& rule_;
  typename Kernels<T>::ReduceRow reduce_;
  typename Kernels<T>::ReduceRow largest_;
  double tiny_;
  bool aligned_;
  bool contiguous_;
};

}  // namespace normfast
