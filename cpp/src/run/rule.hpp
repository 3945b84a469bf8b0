// From a statistic to the map that is applied: the little arithmetic there is between two passes.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "plan/moments.hpp"

namespace normfast {

// What x - center is divided by.
enum class Divisor { kDeviation, kRootMeanSquare, kL2, kL1, kLargest };

// Which statistic is reported beside the mean: what x - mean is multiplied by, or what it is
// divided by where eps is left out.
enum class Report { kReciprocal, kDivisor };

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
double tiny_square(double eps) {
  if (eps >= 0x1p-100) return 0;
  return sizeof(T) == sizeof(float) ? 0x1p-122 : 0x1p-900;
}

// The divisor of one statistic or many, all of the same count: max(sqrt(m2 / per + plus), least),
// with or without the root.
class Divider {
 public:
  Divider(const Rule& rule, double count, double pre) {
    const bool mean = rule.divisor <= Divisor::kRootMeanSquare;
    root_ = rule.divisor <= Divisor::kL2;
    if (rule.divisor == Divisor::kDeviation) per_ = count - rule.correction;
    if (rule.divisor == Divisor::kRootMeanSquare) per_ = count;
    // eps is scaled as the data is. Its root first: pre * pre may overflow.
    const double scaled = std::sqrt(rule.eps) * pre;
    if (mean) plus_ = pre == 1 ? rule.eps : scaled * scaled;
    if (!mean) least_ = rule.eps * pre;
  }
  double operator()(double m2) const {
    const double v = m2 / per_ + plus_;
    const double d = root_ ? std::sqrt(v) : v;
    return d < least_ ? least_ : d;
  }

 private:
  double per_ = 1, plus_ = 0, least_ = 0;
  bool root_;
};

// Nothing to divide by: x - mean is 0 throughout, and 0 * 1 is the answer.
inline double reciprocal(double d) { return d == 0 ? 1 : 1 / d; }

inline Statistic finish(const Rule& rule, const Moments& m, double pre) {
  return {pre, m.mean, m.mean_lo, reciprocal(Divider(rule, m.count, pre)(m.m2))};
}

inline double reported(const Rule& rule, const Moments& m, const Statistic& s) {
  if (rule.report == Report::kReciprocal) return s.rstd * s.pre;
  Rule plain = rule;
  plain.eps = 0;
  return Divider(plain, m.count, s.pre)(m.m2) / s.pre;
}

// The statistic as the fast kernels take it, times weight and plus bias where those are constant
// over it. Says no where float32 would over- or underflow, or the data has to be scaled first: then
// apply_exact does it. The choice is made a statistic, so that no neighbour can change it.
template <class T>
T shift(double mean, double mean_lo, T center, double scale, double bias) {
  // Subtracted, so that a bias of -0 stays one where the rest is 0.
  const double rest = (mean - static_cast<double>(center)) + mean_lo;
  return static_cast<T>(bias - rest * scale);
}

// A float's magnitude is in [2^-107, 2^126]; on its bits, so that loops over many are vectorised.
inline bool in_range(float v) {
  constexpr uint32_t kLeast = 20u << 23, kMost = 253u << 23;
  return (std::bit_cast<uint32_t>(v) & 0x7fffffffu) - kLeast <= kMost - kLeast;
}

inline bool fits(double pre, double, double, double) { return pre == 1; }
inline bool fits(double, float center, float scale, float rstd) {
  const bool finite = (std::bit_cast<uint32_t>(center) & 0x7fffffffu) < 0x7f800000u;
  return finite & in_range(rstd) & (in_range(scale) | (scale == 0));
}

template <class T>
bool fold(const Statistic& s, double weight, double bias, Normalizer<T>& n) {
  const double scale = s.rstd * weight;
  n.center = static_cast<T>(s.mean);
  n.scale = static_cast<T>(scale);
  n.shift = shift<T>(s.mean, s.mean_lo, n.center, scale, bias);
  return fits(s.pre, n.center, n.scale, static_cast<T>(s.rstd));
}

// What stands for a weight or a bias that is not given. -0 adds nothing, not even to a zero's sign.
inline constexpr double kNoWeight = 1;
inline constexpr double kNoBias = -0.0;

// One element in float64 from end to end.
template <class T>
T apply_exact(const Statistic& s, T x, const T* weight, const T* bias) {
  double y = ((static_cast<double>(x) * s.pre - s.mean) - s.mean_lo) * s.rstd;
  if (weight) y *= static_cast<double>(*weight);
  if (bias) y += static_cast<double>(*bias);
  return static_cast<T>(y);
}

}  // namespace normfast
