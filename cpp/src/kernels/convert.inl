// Storage types to the computing type and back: the loops that tiles go through where a kernel does
// not widen by itself. Elements may lie at any address.

namespace normfast {
namespace {

template <class X, class T>
void widen(const void* from, T* y, int64_t count) noexcept {
  const char* p = static_cast<const char*>(from);
  for (int64_t i = 0; i < count; ++i) {
    X x;
    __builtin_memcpy(&x, p + i * static_cast<int64_t>(sizeof x), sizeof x);
    y[i] = static_cast<T>(x);
  }
}

void select_weights(const uint8_t* __restrict selected, int64_t n, bool given,
                    double* __restrict weight) noexcept {
  if (given) {
    for (int64_t i = 0; i < n; ++i) weight[i] = selected[i] ? weight[i] : 0;
  } else {
    for (int64_t i = 0; i < n; ++i) weight[i] = selected[i] ? 1 : 0;
  }
}

template <class H>
void widen_half(const void* from, float* y, int64_t count) noexcept {
  const H* x = static_cast<const H*>(from);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) F32::load(x + i).store(y + i);
  if (i < count) F32::load(x + i, count - i).store(y + i, count - i);
}

template <class H>
void widen_half(const void* from, double* y, int64_t count) noexcept {
  const H* x = static_cast<const H*>(from);
  for (int64_t i = 0; i < count; i += 8) {
    const int64_t m = count - i < 8 ? count - i : 8;
    widen_low(F32::load(x + i, m)).store(y + i, m);
  }
}

template <class Y, class T>
void narrow(const T* x, void* to, int64_t count) noexcept {
  char* p = static_cast<char*>(to);
  for (int64_t i = 0; i < count; ++i) {
    const Y y = static_cast<Y>(x[i]);
    __builtin_memcpy(p + i * static_cast<int64_t>(sizeof y), &y, sizeof y);
  }
}

template <class H>
void narrow_half(const float* x, void* to, int64_t count) noexcept {
  H* y = static_cast<H*>(to);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) F32::load(x + i).store(y + i);
  if (i < count) F32::load(x + i, count - i).store(y + i, count - i);
}

// Whole lines of y past the cache. There are none where an element lies across two.
template <class H>
void stream_half(const float* x, void* to, int64_t count, const void* next) noexcept {
  H* y = static_cast<H*>(to);
  const uintptr_t address = reinterpret_cast<uintptr_t>(to);
  if (address % sizeof(H)) return narrow_half<H>(x, to, count);
  const int64_t beyond = static_cast<int64_t>(address % 64 / sizeof(H));
  int64_t i = beyond ? 32 - beyond : 0;
  if (i > count) i = count;
  narrow_half<H>(x, y, i);
  const uintptr_t ahead = reinterpret_cast<uintptr_t>(next);
  for (; i + 32 <= count; i += 32) {
    const uintptr_t at = ahead + static_cast<uintptr_t>(i) * sizeof(H);
    __builtin_prefetch(reinterpret_cast<const void*>(at));
    F32::stream(y + i, F32::load(x + i), F32::load(x + i + 16));
  }
  narrow_half<H>(x + i, y + i, count - i);
}

// Rounded to odd on the way through float32, so that the second rounding is the only one that
// shows.
float round_to_odd(double v) {
  const float near = static_cast<float>(v);
  const double back = near;
  uint32_t bits = __builtin_bit_cast(uint32_t, near);
  const uint32_t inexact = back != v ? 1u : 0u, even = ~bits & 1;
  const uint32_t beyond = __builtin_fabs(back) > __builtin_fabs(v) ? 1u : 0u;
  const uint32_t number = v == v ? 1u : 0u;
  bits += (inexact & even & number) * (1 - 2 * beyond);
  return __builtin_bit_cast(float, bits);
}

template <class H>
void narrow_half(const double* x, void* to, int64_t count) noexcept {
  H* y = static_cast<H*>(to);
  float odd[16];
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t m = count - i < 16 ? count - i : 16;
    for (int64_t k = 0; k < m; ++k) odd[k] = round_to_odd(x[i + k]);
    F32::load(odd, m).store(y + i, m);
  }
}

}  // namespace
}  // namespace normfast
