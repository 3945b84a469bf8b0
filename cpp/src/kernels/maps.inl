// Between two passes: from the statistics of many lanes to their maps. Plain loops over arrays,
// which the compiler vectorises for each ISA; a root, a division and a rounding have one answer
// everywhere.

namespace normfast {
namespace {

void divide(const double* __restrict m2, int64_t n, Divider by, double* __restrict divisor,
            double* __restrict reciprocal) noexcept {
  if (by.root) {
    for (int64_t i = 0; i < n; ++i) divisor[i] = __builtin_sqrt(m2[i] / by.per + by.plus);
  } else {
    for (int64_t i = 0; i < n; ++i) divisor[i] = m2[i] / by.per + by.plus;
  }
  for (int64_t i = 0; i < n; ++i) divisor[i] = divisor[i] < by.least ? by.least : divisor[i];
  // Nothing to divide by: x - mean is 0 throughout, and 0 * 1 is the answer.
  for (int64_t i = 0; i < n; ++i) reciprocal[i] = divisor[i] == 0 ? 1 : 1 / divisor[i];
}

// A float's magnitude is in [2^-107, 2^126].
bool in_range(float v) {
  constexpr uint32_t kLeast = 20u << 23, kMost = 253u << 23;
  return (__builtin_bit_cast(uint32_t, v) & 0x7fffffffu) - kLeast <= kMost - kLeast;
}

// Whether float32 arithmetic neither over- nor underflows. Float64 data is scaled before instead.
bool fits(float center, float scale, float rstd) {
  const bool finite = (__builtin_bit_cast(uint32_t, center) & 0x7fffffffu) < 0x7f800000u;
  return finite & in_range(rstd) & (in_range(scale) | (scale == 0));
}
bool fits(double, double, double) { return true; }

template <class T>
bool make_maps(const double* __restrict mean, const double* __restrict mean_lo,
               const double* __restrict rstd, const double* __restrict weight,
               const double* __restrict bias, int64_t n, T* __restrict center, T* __restrict scale,
               T* __restrict shift) noexcept {
  uint32_t misfits = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double product = rstd[i] * weight[i];
    center[i] = static_cast<T>(mean[i]);
    scale[i] = static_cast<T>(product);
    // Subtracted, so that a bias of -0 stays one where the rest is 0.
    const double rest = (mean[i] - static_cast<double>(center[i])) + mean_lo[i];
    shift[i] = static_cast<T>(bias[i] - rest * product);
  }
  for (int64_t i = 0; i < n; ++i) misfits |= !fits(center[i], scale[i], static_cast<T>(rstd[i]));
  return misfits == 0;
}

}  // namespace
}  // namespace normfast
