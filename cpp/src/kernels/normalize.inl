// Rows all the way: the little there is between the two passes is done for a few of them side by
// side, and nothing beside it, which would take as long as the passes over short rows.

namespace normfast {
namespace {

template <Reduction R, class X>
int64_t normalize_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
                       const RowNorm<float>& by, Seam* seam) noexcept {
  double mean[kRowsTogether], mean_lo[kRowsTogether], m2[kRowsTogether];
  double divisor[kRowsTogether], rstd[kRowsTogether];
  float center[kRowsTogether], scale[kRowsTogether], shift[kRowsTogether];
  RowMaps<float> maps = {center, scale, shift, 1, by.weight, by.bias, 1};
  maps.end.relu = by.relu;
  for (int64_t r = 0; r < rows; r += by.together) {
    const int64_t n = rows - r < by.together ? rows - r : by.together;
    const X* const from = static_cast<const X*>(x) + r * xs;
    X* const to = static_cast<X*>(y) + r * ys;
    reduce_rows<R, X>(from, xs, n, count, by.tiny, mean, mean_lo, m2);
    divide(m2, n, by.by, divisor, rstd);
    if (!make_maps<float>(mean, mean_lo, rstd, nullptr, nullptr, n, center, scale, shift)) return r;
    for (int64_t i = 0; i < n && by.mean; ++i) by.mean[r + i] = mean[i];
    for (int64_t i = 0; i < n && by.rstd; ++i) by.rstd[r + i] = rstd[i];
    if (seam) {
      stream_rows<X>(from, xs, to, ys, n, count, maps, 0, *seam);
    } else {
      apply_rows<X>(from, xs, to, ys, n, count, maps);
    }
  }
  return rows;
}

}  // namespace
}  // namespace normfast
