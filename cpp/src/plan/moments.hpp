// Merging Moments: lanes, blocks, threads and a GPU's blocks all go through here. What is constexpr
// runs on a GPU too, there also on moments of floats.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/kernels.hpp"

namespace normfast {

// a + b as a sum of two numbers, exact (Knuth's TwoSum).
template <class Real>
constexpr void two_sum(std::type_identity_t<Real> a, std::type_identity_t<Real> b, Real& hi,
                       Real& lo) {
  hi = a + b;
  const Real part = hi - a;
  lo = (a - (hi - part)) + (b - part);
}

template <class Real>
constexpr Real larger_magnitude(Real a, Real b) {
  return !(b <= a) && a == a ? b : a;
}

// Chan, Golub and LeVeque (1983). The means are sums of two numbers, so that neither their
// difference nor the new mean loses digits where they are large.
template <class M = Moments>
constexpr M merge(const M& a, const M& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const auto count = a.count + b.count;
  const auto delta = (b.mean - a.mean) + (b.mean_lo - a.mean_lo);
  M m = {count, 0, 0, a.m2 + b.m2 + delta * delta * (a.count * (b.count / count))};
  two_sum(a.mean, delta * (b.count / count) + a.mean_lo, m.mean, m.mean_lo);
  return m;
}

template <class M = Moments>
constexpr M merge(Reduction reduction, const M& a, const M& b) {
  if (reduction == Reduction::kMoments) return merge(a, b);
  if (reduction == Reduction::kSums) return {a.count + b.count, a.mean + b.mean, 0, a.m2 + b.m2};
  const auto m2 = reduction == Reduction::kMaximum ? larger_magnitude(a.m2, b.m2) : a.m2 + b.m2;
  return {a.count + b.count, 0, 0, m2};
}

// Moments from the exact sums of integers and of their squares: n * Q - S * S is exact too.
inline Moments moments_of_sums(const Moments& sums) {
  __extension__ using Wide = __int128;
  const double n = sums.count, S = sums.mean, Q = sums.m2;
  if (n == 0) return sums;
  const Wide m2 =
      static_cast<Wide>(n) * static_cast<Wide>(Q) - static_cast<Wide>(S) * static_cast<Wide>(S);
  const double mean = S / n;
  return {n, mean, std::fma(-mean, n, S) / n, static_cast<double>(m2) / n};
}

}  // namespace normfast
