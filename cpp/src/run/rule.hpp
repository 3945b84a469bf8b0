// From a statistic to the map that is applied: the little arithmetic there is between two passes.
#pragma once

#include <cmath>
#include <limits>

#include "plan/moments.hpp"

namespace normfast {

// What x - center is divided by.
enum class Divisor { kDeviation, kRootMeanSquare, kL2, kL1, kLargest };

// Which statistic is reported beside the mean: what x - mean is multiplied by, what it is divided
// by where eps is left out, or the square of that.
enum class Report { kReciprocal, kDivisor, kVariance };

struct Rule {
  Divisor divisor = Divisor::kDeviation;
  Report report = Report::kReciprocal;
  double eps = 0;
  double correction = 0;

  Reduction reduction() const {
    switch (divisor) {
      case Divisor::kDeviation:
        return Reduction::kMoments;
      case Divisor::kL1:
        return Reduction::kMagnitudes;
      case Divisor::kLargest:
        return Reduction::kMaximum;
      default:
        return Reduction::kSquares;
    }
  }
};

// A statistic ready to be applied, of data that was multiplied by `pre` (a power of two, 1 but for
// float64 data near the ends of its range): y = ((x * pre - mean) - mean_lo) * rstd.
struct Statistic {
  double pre = 1;
  double mean = 0;
  double mean_lo = 0;
  double rstd = 1;
};

// Squares whose mean is below this may have lost digits to underflow; with an eps that dwarfs them
// it does not matter. Float32 squares are sums of floats, float64 ones of doubles.
template <class T>
double tiny_square(const Rule& rule) {
  // What is reported leaves eps out.
  if (rule.eps >= 0x1p-100 && rule.report == Report::kReciprocal) return 0;
  return sizeof(T) == sizeof(float) ? 0x1p-122 : 0x1p-900;
}

// What m2 of `count` elements is divided by.
inline double number(const Rule& rule, double count) {
  if (rule.divisor == Divisor::kDeviation) return count - rule.correction;
  return rule.divisor == Divisor::kRootMeanSquare ? count : 1;
}

// How statistics of `count` elements, of data multiplied by `pre`, are divided by.
inline Divider divider(const Rule& rule, double count, double pre) {
  const bool mean = rule.divisor <= Divisor::kRootMeanSquare;
  // eps is scaled as the data is. Its root first: pre * pre may overflow.
  const double scaled = std::sqrt(rule.eps) * pre;
  Divider by = {number(rule, count), 0, 0, rule.divisor <= Divisor::kL2};
  (mean ? by.plus : by.least) = !mean ? rule.eps * pre : pre == 1 ? rule.eps : scaled * scaled;
  return by;
}

template <class T>
Statistic finish(const Kernels<T>& kernels, const Rule& rule, const Moments& m, double pre) {
  double divisor, rstd;
  kernels.divide(&m.m2, 1, divider(rule, m.count, pre), &divisor, &rstd);
  return {pre, m.mean, m.mean_lo, divisor == 0 ? 1 / pre : rstd};
}

template <class T>
double reported(const Kernels<T>& kernels, const Rule& rule, const Moments& m, const Statistic& s) {
  if (rule.report == Report::kVariance) {
    const double rest = m.count - rule.correction;
    return rest > 0 ? m.m2 / s.pre / s.pre / rest : std::numeric_limits<double>::quiet_NaN();
  }
  if (rule.report == Report::kReciprocal && s.pre == 1) return s.rstd;
  Rule asked = rule;
  if (rule.report == Report::kDivisor) asked.eps = 0;
  double divisor, rstd;
  kernels.divide(&m.m2, 1, divider(asked, m.count, s.pre), &divisor, &rstd);
  if (rule.report == Report::kDivisor) return divisor / s.pre;
  return s.rstd * s.pre;
}

// The statistic as the fast kernels take it, times weight and plus bias where those are given and
// constant over it. Says no where float32 would over- or underflow, or the data has to be scaled
// first: then apply_exact does it. The choice is made a statistic, so that no neighbour can change
// it.
template <class T>
bool fold(const Kernels<T>& kernels, const Statistic& s, const T* weight, const T* bias,
          Normalizer<T>& n) {
  const bool fits = kernels.make_maps(&s.mean, &s.mean_lo, &s.rstd, weight, bias, 1, &n.center,
                                      &n.scale, &n.shift);
  return fits && s.pre == 1;
}

// One element in float64 from end to end.
template <class T>
T apply_exact(const Statistic& s, T x, const T* weight, const T* bias) {
  double y = ((static_cast<double>(x) * s.pre - s.mean) - s.mean_lo) * s.rstd;
  if (weight) y *= static_cast<double>(*weight);
  if (bias) y += static_cast<double>(*bias);
  return static_cast<T>(y);
}

}  // namespace normfast
