// Between two passes: from the statistics of many lanes to their maps. Plain loops over arrays,
// which the compiler vectorises for each ISA; a root, a division and a rounding have one answer
// everywhere.

namespace normfast {
namespace {

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

template <class T>
bool make_maps(const double* __restrict mean, const double* __restrict mean_lo,
               const double* __restrict rstd, const double* __restrict weight,
               const double* __restrict bias, int64_t n, T* __restrict center, T* __restrict scale,
               T* __restrict shift) noexcept {
  uint32_t all_fit = 1;
  for (int64_t i = 0; i < n; ++i) {
    const double product = rstd[i] * weight[i];
    center[i] = static_cast<T>(mean[i]);
    scale[i] = static_cast<T>(product);
    // Subtracted, so that a bias of -0 stays one where the rest is 0.
    const double rest = (mean[i] - static_cast<double>(center[i])) + mean_lo[i];
    shift[i] = static_cast<T>(bias[i] - rest * product);
  }
  for (int64_t i = 0; i < n; ++i) all_fit &= fits(center[i], scale[i], static_cast<T>(rstd[i]));
  return all_fit != 0;
}

}  // namespace
}  // namespace normfast
