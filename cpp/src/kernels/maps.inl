// Between two passes: from the sums of many lanes to their statistics and maps. Plain loops over
// arrays, which the compiler vectorises for each ISA; a root, a division and a rounding have one
// answer everywhere.

namespace normfast {
namespace {

template <class T>
bool choose_centers(const double* __restrict sum, const double* __restrict square, int64_t n,
                    T* __restrict center) noexcept {
  uint64_t all_zero = 1;  // as wide as what is compared, so that the loop vectorises
  for (int64_t i = 0; i < n; ++i) {
    const double mean = sum[i] / kLineGroup;
    const bool centred = square[i] - sum[i] * mean >= 0.6 * square[i];
    center[i] = centred ? T(0) : static_cast<T>(mean);
    all_zero &= centred ? 1 : 0;
  }
  return all_zero != 0;
}

bool settle(const double* __restrict center, const double* __restrict sum,
            const double* __restrict square, int64_t n, double count, double least,
            double* __restrict mean, double* __restrict mean_lo, double* __restrict m2) noexcept {
  uint64_t all_trusted = 1;
  for (int64_t i = 0; i < n; ++i) {
    const double c = center[i], q = square[i], t = sum[i] / count, rest = q - sum[i] * t;
    const double hi = c + t, part = hi - c;
    mean[i] = hi;
    mean_lo[i] = (c - (hi - part)) + (t - part);
    m2[i] = rest < 0 ? 0 : rest;
    // Positive forms, so that a NaN fails them. q - q is 0 for a finite q only.
    const uint64_t kept = rest >= 0.5 * q ? 1 : 0, large = q >= least ? 1 : 0;
    all_trusted &= kept & large & (q - q == 0 ? 1 : 0);
  }
  return all_trusted != 0;
}

// Lane i of statistic k is k * across + i * along.
struct Fold {
  int64_t members, across, along;
};

// The means are taken about the first of them, which is one of the data, so little cancels. Several
// statistics at once: each sum waits for itself.
template <int kAtOnce>
void join_some(const double* mean, const double* mean_lo, const double* m2, Fold fold, double count,
               double* to_mean, double* to_mean_lo, double* to_m2) {
  double d_sum[kAtOnce] = {}, d_square[kAtOnce] = {}, q[kAtOnce];
  for (int k = 0; k < kAtOnce; ++k) q[k] = m2[k * fold.across];
  for (int64_t i = 1; i < fold.members; ++i) {
    for (int k = 0; k < kAtOnce; ++k) {
      const int64_t first = k * fold.across, l = first + i * fold.along;
      const double d = (mean[l] - mean[first]) + (mean_lo[l] - mean_lo[first]);
      q[k] += m2[l];
      d_sum[k] += d;
      d_square[k] += d * d;
    }
  }
  const double n = static_cast<double>(fold.members);
  for (int k = 0; k < kAtOnce; ++k) {
    const int64_t first = k * fold.across;
    const double between = d_square[k] - d_sum[k] * (d_sum[k] / n);
    const double a = mean[first], b = d_sum[k] / n + mean_lo[first], hi = a + b, part = hi - a;
    to_mean[k] = hi;
    to_mean_lo[k] = (a - (hi - part)) + (b - part);
    to_m2[k] = q[k] + (between < 0 ? 0 : count * between);
  }
}

void join_lanes(const double* mean, const double* mean_lo, const double* m2, int64_t n,
                int64_t members, bool neighbours, double count, double* to_mean, double* to_mean_lo,
                double* to_m2) noexcept {
  constexpr int kAtOnce = 4;
  const Fold fold = {members, neighbours ? members : 1, neighbours ? 1 : n};
  int64_t i = 0;
  for (; i + kAtOnce <= n; i += kAtOnce) {
    const int64_t l = i * fold.across;
    join_some<kAtOnce>(mean + l, mean_lo + l, m2 + l, fold, count, to_mean + i, to_mean_lo + i,
                       to_m2 + i);
  }
  for (; i < n; ++i) {
    const int64_t l = i * fold.across;
    join_some<1>(mean + l, mean_lo + l, m2 + l, fold, count, to_mean + i, to_mean_lo + i,
                 to_m2 + i);
  }
}

template <bool kRoot, bool kPer>
void divide_each(const double* __restrict m2, int64_t n, Divider by, double* __restrict divisor,
                 double* __restrict reciprocal) {
  for (int64_t i = 0; i < n; ++i) {
    double d = (kPer ? m2[i] / by.per : m2[i]) + by.plus;
    if constexpr (kRoot) d = __builtin_sqrt(d);
    d = d < by.least ? by.least : d;
    divisor[i] = d;
    // Nothing to divide by: x - mean is 0 throughout, and 0 * 1 is the answer.
    reciprocal[i] = d == 0 ? 1 : 1 / d;
  }
}

void divide(const double* m2, int64_t n, Divider by, double* divisor, double* reciprocal) noexcept {
  const bool per = by.per != 1;
  if (by.root) {
    (per ? divide_each<true, true> : divide_each<true, false>)(m2, n, by, divisor, reciprocal);
  } else {
    (per ? divide_each<false, true> : divide_each<false, false>)(m2, n, by, divisor, reciprocal);
  }
}

// A float's magnitude is in [2^-107, 2^126]: 1, else 0. Numbers, not bools, so that loops
// vectorise.
uint32_t in_range(float v) {
  constexpr uint32_t kLeast = 20u << 23, kMost = 253u << 23;
  return (__builtin_bit_cast(uint32_t, v) & 0x7fffffffu) - kLeast <= kMost - kLeast ? 1 : 0;
}

// Whether float32 arithmetic neither over- nor underflows. Float64 data is scaled before instead.
uint32_t fits(float center, float scale, float rstd) {
  const uint32_t finite =
      (__builtin_bit_cast(uint32_t, center) & 0x7fffffffu) < 0x7f800000u ? 1 : 0;
  const uint32_t zero = scale == 0 ? 1 : 0;
  return finite & in_range(rstd) & (in_range(scale) | zero);
}
uint32_t fits(double, double, double) { return 1; }

// A bias of -0 adds nothing, not even to a zero's sign.
template <class Low, class Weighs, class Shifts, class T>
bool make_each(Low, Weighs, Shifts, const double* __restrict mean, const double* __restrict mean_lo,
               const double* __restrict rstd, const T* __restrict weight, const T* __restrict bias,
               int64_t n, T* __restrict center, T* __restrict scale, T* __restrict shift) {
  uint32_t all_fit = 1;
  for (int64_t i = 0; i < n; ++i) {
    const double product = Weighs::value ? rstd[i] * static_cast<double>(weight[i]) : rstd[i];
    const double b = Shifts::value ? static_cast<double>(bias[i]) : -0.0;
    center[i] = static_cast<T>(mean[i]);
    scale[i] = static_cast<T>(product);
    // Subtracted, so that a bias of -0 stays one where the rest is 0.
    const double rest = (mean[i] - static_cast<double>(center[i])) + (Low::value ? mean_lo[i] : 0);
    shift[i] = static_cast<T>(b - rest * product);
  }
  for (int64_t i = 0; i < n; ++i) all_fit &= fits(center[i], scale[i], static_cast<T>(rstd[i]));
  return all_fit != 0;
}

// body of true or false as a type.
template <class Body>
bool choose(bool value, Body body) {
  return value ? body(std::true_type()) : body(std::false_type());
}

template <class T>
bool make_maps(const double* mean, const double* mean_lo, const double* rstd, const T* weight,
               const T* bias, int64_t n, T* center, T* scale, T* shift) noexcept {
  return choose(mean_lo, [&](auto low) {
    return choose(weight, [&](auto weighs) {
      return choose(bias, [&](auto shifts) {
        return make_each(low, weighs, shifts, mean, mean_lo, rstd, weight, bias, n, center, scale,
                         shift);
      });
    });
  });
}

}  // namespace
}  // namespace normfast
