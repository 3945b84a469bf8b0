// Interleaved channels to planes of kGroup elements and back: copies in plain loops, which the
// compiler turns into shuffles.

namespace normfast {
namespace {

template <class U, int C>
void split_each(const U* __restrict x, int64_t count, U* __restrict planes) {
  for (int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < C; ++c) planes[c * kGroup + i] = x[C * i + c];
  }
}

template <class U, int C>
void join_each(const U* __restrict planes, int64_t count, U* __restrict y) {
  for (int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < C; ++c) y[C * i + c] = planes[c * kGroup + i];
  }
}

template <class U>
void split_pixels(const void* x, int64_t count, int channels, void* planes) noexcept {
  const auto each = channels == 2   ? split_each<U, 2>
                    : channels == 3 ? split_each<U, 3>
                                    : split_each<U, 4>;
  each(static_cast<const U*>(x), count, static_cast<U*>(planes));
}

template <class U>
void join_pixels(const void* planes, int64_t count, int channels, void* y) noexcept {
  const auto each = channels == 2   ? join_each<U, 2>
                    : channels == 3 ? join_each<U, 3>
                                    : join_each<U, 4>;
  each(static_cast<const U*>(planes), count, static_cast<U*>(y));
}

}  // namespace
}  // namespace normfast
