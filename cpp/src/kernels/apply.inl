// One pass that reads x and writes y. Subtract first, then one fma: x*a + b with b = -mean*a would
// lose every digit of a large mean.

namespace normfast {
namespace {

enum class Affine { kNone, kUniform, kWeight, kBias, kBoth };

template <Affine A, class T, class V>
struct AffineMap {
  const T* weight;
  const T* bias;
  V w, b;

  AffineMap(const T* weight_, const T* bias_) : weight(weight_), bias(bias_) {
    if constexpr (A == Affine::kUniform) {
      w = V::set(weight ? *weight : T(1));
      b = V::set(bias ? *bias : T(-0.0));
    }
  }
  template <class Load>
  V operator()(V v, Load load) const {
    if constexpr (A == Affine::kUniform) return fma(v, w, b);
    if constexpr (A == Affine::kWeight) return v * load(weight);
    if constexpr (A == Affine::kBias) return v + load(bias);
    if constexpr (A == Affine::kBoth) return fma(v, load(weight), load(bias));
    return v;
  }
};

// Calls body with Affine as a compile-time constant.
template <class T, class Body>
void choose_affine(const T* weight, const T* bias, int64_t step, Body body) {
  if (!weight && !bias) return body(std::integral_constant<Affine, Affine::kNone>{});
  if (step == 0) return body(std::integral_constant<Affine, Affine::kUniform>{});
  if (!bias) return body(std::integral_constant<Affine, Affine::kWeight>{});
  if (!weight) return body(std::integral_constant<Affine, Affine::kBias>{});
  body(std::integral_constant<Affine, Affine::kBoth>{});
}

// y[i] = map(x[i], load), where load(p) gives the same lanes of another array.
template <class V, class X, class Map>
void map_run(const X* x, X* y, int64_t count, Map map) {
  constexpr int64_t L = V::kLanes;
  int64_t i = 0;
  for (; i + L <= count; i += L) {
    map(V::load(x + i), [i](const auto* p) { return V::load(p + i); }).store(y + i);
  }
  if (i < count) {
    const int64_t m = count - i;
    map(V::load(x + i, m), [i, m](const auto* p) { return V::load(p + i, m); }).store(y + i, m);
  }
}

// The same past the cache: y is not to be read first, nor soon again. What is read next is fetched
// meanwhile.
template <class V, class X, class Map>
void stream_run(const X* x, X* y, int64_t count, int64_t ahead, Map map) {
  constexpr int64_t L = V::kLanes;
  const auto some = [&](int64_t i, int64_t m) {
    map(V::load(x + i, m), [i, m](const auto* p) { return V::load(p + i, m); }).store(y + i, m);
  };
  const uintptr_t beyond = reinterpret_cast<uintptr_t>(y) % (L * sizeof(X));
  int64_t i = beyond ? L - static_cast<int64_t>(beyond / sizeof(X)) : 0;
  if (i > count) i = count;
  if (i > 0) some(0, i);
  // An address only: it may lie past the array.
  const uintptr_t next = reinterpret_cast<uintptr_t>(x) + static_cast<uintptr_t>(ahead);
  for (; i + L <= count; i += L) {
    __builtin_prefetch(reinterpret_cast<const void*>(next + static_cast<uintptr_t>(i) * sizeof(X)));
    map(V::load(x + i), [i](const auto* p) { return V::load(p + i); }).stream(y + i);
  }
  if (i < count) some(i, count - i);
}

// body(run) with a run of one kind or the other.
template <bool kStream, class V>
auto runner([[maybe_unused]] int64_t ahead) {
  return [=](const auto* x, auto* y, int64_t count, auto map) {
    if constexpr (kStream) {
      stream_run<V>(x, y, count, ahead, map);
    } else {
      map_run<V>(x, y, count, map);
    }
  };
}

template <class X, class T, class Run>
void map_row(const void* x, void* y, int64_t count, Normalizer<T> n, const T* weight, const T* bias,
             int64_t step, Run run) {
  using V = typename Lanes<X>::V;
  const V center = V::set(n.center), scale = V::set(n.scale), shift = V::set(n.shift);
  choose_affine(weight, bias, step, [&](auto affine) {
    const AffineMap<affine(), T, V> then(weight, bias);
    run(static_cast<const X*>(x), static_cast<X*>(y), count,
        [&](V v, auto load) { return then(fma(v - center, scale, shift), load); });
  });
}

template <class X, class T, class Run>
void map_lines(const void* x, int64_t x_stride, void* y, int64_t y_stride, int64_t lines,
               int64_t lanes, const T* center, const T* scale, const T* shift, const T* weight,
               const T* bias, int64_t step, Run run) {
  using V = typename Lanes<X>::V;
  choose_affine(weight, bias, step, [&](auto affine) {
    const AffineMap<affine(), T, V> then(weight, bias);
    for (int64_t r = 0; r < lines; ++r) {
      run(static_cast<const X*>(x) + r * x_stride, static_cast<X*>(y) + r * y_stride, lanes,
          [&](V v, auto load) {
            return then(fma(v - load(center), load(scale), load(shift)), load);
          });
    }
  });
}

template <class X, class T = Computing<X>>
void apply_row(const void* x, void* y, int64_t count, Normalizer<T> n, const T* weight,
               const T* bias, int64_t step) noexcept {
  map_row<X>(x, y, count, n, weight, bias, step, runner<false, typename Lanes<X>::V>(0));
}

template <class X, class T = Computing<X>>
void stream_row(const void* x, void* y, int64_t count, Normalizer<T> n, const T* weight,
                const T* bias, int64_t step, int64_t ahead) noexcept {
  map_row<X>(x, y, count, n, weight, bias, step, runner<true, typename Lanes<X>::V>(ahead));
}

template <class X, class T = Computing<X>>
void apply_lines(const void* x, int64_t x_stride, void* y, int64_t y_stride, int64_t lines,
                 int64_t lanes, const T* center, const T* scale, const T* shift, const T* weight,
                 const T* bias, int64_t step) noexcept {
  map_lines<X>(x, x_stride, y, y_stride, lines, lanes, center, scale, shift, weight, bias, step,
               runner<false, typename Lanes<X>::V>(0));
}

template <class X, class T = Computing<X>>
void stream_lines(const void* x, int64_t x_stride, void* y, int64_t y_stride, int64_t lines,
                  int64_t lanes, const T* center, const T* scale, const T* shift, const T* weight,
                  const T* bias, int64_t step, int64_t ahead) noexcept {
  map_lines<X>(x, x_stride, y, y_stride, lines, lanes, center, scale, shift, weight, bias, step,
               runner<true, typename Lanes<X>::V>(ahead));
}

// The yardstick.
void copy_run(const float* x, float* y, int64_t count) noexcept {
  map_run<F32>(x, y, count, [](F32 v, auto) { return v; });
}

void stream_copy(const float* x, float* y, int64_t count) noexcept {
  stream_run<F32>(x, y, count, 0, [](F32 v, auto) { return v; });
  fence();
}

void fence_streams() noexcept { fence(); }

}  // namespace
}  // namespace normfast
