// Merging Moments: lanes, blocks and threads (later batches, processes and GPUs) all go through
// here.
#pragma once

#include <cmath>

#include "kernels/kernels.hpp"

namespace normfast {

// a + b as a sum of two doubles, exact (Knuth's TwoSum).
inline void two_sum(double a, double b, double& hi, double& lo) {
  hi = a + b;
  const double part = hi - a;
  lo = (a - (hi - part)) + (b - part);
}

inline double larger_magnitude(double a, double b) { return !(b <= a) && a == a ? b : a; }

// Chan, Golub and LeVeque (1983). The means are sums of two doubles, so that neither their
// difference nor the new mean loses digits where they are large.
inline Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const double count = a.count + b.count;
  const double delta = (b.mean - a.mean) + (b.mean_lo - a.mean_lo);
  Moments m = {count, 0, 0, a.m2 + b.m2 + delta * delta * (a.count * (b.count / count))};
  two_sum(a.mean, delta * (b.count / count) + a.mean_lo, m.mean, m.mean_lo);
  return m;
}

inline Moments merge(Reduction reduction, const Moments& a, const Moments& b) {
  if (reduction == Reduction::kMoments) return merge(a, b);
  const double m2 = reduction == Reduction::kMaximum ? larger_magnitude(a.m2, b.m2) : a.m2 + b.m2;
  return {a.count + b.count, 0, 0, m2};
}

}  // namespace normfast
