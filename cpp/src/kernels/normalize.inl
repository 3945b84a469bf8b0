// Rows all the way: the little there is between the two passes is done for a few of them side by
// side, and nothing beside it, which would take as long as the passes over short rows.

namespace normfast {
namespace {

// x + residual into a tile, and to where the sums belong: reads and writes in one pass, as memory
// takes them best.
template <bool kStream, class X>
void add_rows(const X* x, int64_t xs, const RowSums<float>& by, int64_t r, int64_t rows,
              int64_t count) {
  const X* other = static_cast<const X*>(by.residual) + r * by.residual_next;
  X* sum = static_cast<X*>(by.sum) + r * by.sum_next;
  float* tile = by.tile;
  Joint<F32, X> joint;
  if constexpr (kStream) joint.resume(*by.seam);
  for (int64_t i = 0; i < rows; ++i) {
    run<kStream, F32, kStep<X, 1>>(Runs<X, 1>{x, 0, sum, by.sum_next}, count, Reading{}, joint,
                                   [&](F32(&v)[1], auto at) __attribute__((always_inline)) {
                                     v[0] = v[0] + at(other);
                                     at.put(v[0], tile);
                                   });
    x += xs, other += by.residual_next, sum += by.sum_next, tile += count;
  }
  if constexpr (kStream) joint.wait(*by.seam);
}

template <class X>
void add_rows(const X* x, int64_t xs, const RowSums<float>& by, int64_t r, int64_t rows,
              int64_t count, bool streams) {
  if (by.sum) return (streams ? add_rows<true, X> : add_rows<false, X>)(x, xs, by, r, rows, count);
  const X* other = static_cast<const X*>(by.residual) + r * by.residual_next;
  float* tile = by.tile;
  for (int64_t i = 0; i < rows; ++i) {
    map_run<F32, kStep<X, 1>>(Runs<X, 1, float>{x, 0, tile, 0}, count,
                              [&](F32(&v)[1], auto at)
                                  __attribute__((always_inline)) { v[0] = v[0] + at(other); });
    x += xs, other += by.residual_next, tile += count;
  }
}

// Rows that are read next.
template <class X>
void fetch_rows(const X* x, int64_t xs, int64_t rows, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(X);
  for (int64_t r = 0; r < rows; ++r, x += xs) {
    for (int64_t i = 0; i < count; i += kLine) fetch(reinterpret_cast<uintptr_t>(x + i));
  }
}

template <Reduction R, class X>
int64_t normalize_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
                       const RowNorm<float>& by, Seam* seam) noexcept {
  double mean[kRowsTogether], mean_lo[kRowsTogether], m2[kRowsTogether];
  double divisor[kRowsTogether], rstd[kRowsTogether];
  float center[kRowsTogether], scale[kRowsTogether], shift[kRowsTogether];
  RowMaps<float> maps = {center, scale, shift, 1, by.weight, by.bias, 1};
  maps.end.relu = by.relu;
  const RowSums<float>& sums = by.sums;
  for (int64_t r = 0; r < rows; r += by.together) {
    const int64_t n = rows - r < by.together ? rows - r : by.together;
    const X* const from = static_cast<const X*>(x) + r * xs;
    X* const to = static_cast<X*>(y) + r * ys;
    if (sums.residual) {
      add_rows(from, xs, sums, r, n, count, seam != nullptr);
      reduce_rows<R, float>(sums.tile, count, n, count, by.tiny, mean, mean_lo, m2);
    } else {
      reduce_rows<R, X>(from, xs, n, count, by.tiny, mean, mean_lo, m2);
    }
    divide(m2, n, by.by, divisor, rstd);
    if (!make_maps<float>(mean, mean_lo, rstd, nullptr, nullptr, n, center, scale, shift)) return r;
    // Here, as the map leaves the way from memory free.
    if (by.fetches && r + n < rows) {
      fetch_rows(from + n * xs, xs, rows - r - n < n ? rows - r - n : n, count);
    }
    for (int64_t i = 0; i < n && by.mean; ++i) by.mean[r + i] = mean[i];
    for (int64_t i = 0; i < n && by.rstd; ++i) by.rstd[r + i] = rstd[i];
    if (sums.residual) {
      const auto map = seam ? map_rows<true, float, X, Who::kSums, float>
                            : map_rows<false, float, X, Who::kSums, float>;
      map(sums.tile, count, to, ys, n, count, maps, 0, seam);
    } else if (seam) {
      stream_rows<X>(from, xs, to, ys, n, count, maps, 0, *seam);
    } else {
      apply_rows<X>(from, xs, to, ys, n, count, maps);
    }
  }
  return rows;
}

}  // namespace
}  // namespace normfast
