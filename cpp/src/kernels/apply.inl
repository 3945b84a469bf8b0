// One pass that reads x and writes y. Subtract first, then one fma: x*a + b with b = -mean*a would
// lose every digit of a large mean.

namespace normfast {
namespace {

enum class Affine { kNone, kUniform, kWeight, kBias, kBoth };
enum class End { kNone, kRelu, kAdd };  // after an addition ReLU or nothing

// The steps of a map that a loop is compiled for.
template <Affine A, End E = End::kNone>
struct Steps {
  static constexpr Affine kAffine = A;
  static constexpr End kEnd = E;
  static constexpr bool kLoads = A != Affine::kNone && A != Affine::kUniform;
};

// Who maps, and so which steps there may be.
enum class Who { kRows, kLines, kSums };

// Calls body with the steps to be taken.
template <Who W, class T, class Body>
void choose_steps(const T* weight, const T* bias, int64_t step, const Ending& end,
                  const Body& body) {
  const auto ended = [&]<Affine A>(std::integral_constant<Affine, A>) {
    if constexpr (W != Who::kSums) {
      if (end.addend) return body(Steps<A, End::kAdd>{});
    }
    if (end.relu) return body(Steps<A, End::kRelu>{});
    body(Steps<A>{});
  };
  if (!weight && !bias) return ended(std::integral_constant<Affine, Affine::kNone>{});
  if constexpr (W == Who::kRows) {
    if (step == 0) return ended(std::integral_constant<Affine, Affine::kUniform>{});
  } else if constexpr (W == Who::kLines) {
    if (step == 0) return body(Steps<Affine::kUniform>{});
  }
  if (!bias) return body(Steps<Affine::kWeight>{});
  if (!weight) return body(Steps<Affine::kBias>{});
  body(Steps<Affine::kBoth>{});
}

// What comes after the map, for vectors of N rows or lines. Arrays of weight and bias are shared by
// all of them; constants and addends are their own.
template <class S, class X, class V, int N>
struct Then {
  using T = typename V::Element;
  const T* weight;
  const T* bias;
  const X* addend;
  int64_t next;
  V w[N], b[N], least;

  // From row or line r on.
  Then(int64_t r, const T* weights, int64_t weight_next, const T* biases, int64_t bias_next,
       const Ending& end)
      : weight(weights ? weights + r * weight_next : nullptr),
        bias(biases ? biases + r * bias_next : nullptr),
        addend(S::kEnd == End::kAdd ? static_cast<const X*>(end.addend) + r * end.next : nullptr),
        next(end.next) {
    if constexpr (S::kEnd != End::kNone) {
      least = V::set(end.relu ? T(0) : -static_cast<T>(__builtin_inf()));
    }
    if constexpr (S::kAffine == Affine::kUniform) {
      unroll<N>([&](auto k) {
        w[k] = V::set(weight ? weight[k * weight_next] : T(1));
        b[k] = V::set(bias ? bias[k * bias_next] : T(-0.0));
      });
    }
  }
  template <class At>
  [[gnu::always_inline]] void operator()(V (&v)[N], At at) const {
    constexpr Affine A = S::kAffine;
    if constexpr (A == Affine::kUniform) each([&](auto k) { v[k] = fma(v[k], w[k], b[k]); });
    const auto shared = [&](const T* p) { return in_register(at(p)); };
    if constexpr (A == Affine::kWeight) each([&, l = shared(weight)](auto k) { v[k] = v[k] * l; });
    if constexpr (A == Affine::kBias) each([&, l = shared(bias)](auto k) { v[k] = v[k] + l; });
    if constexpr (A == Affine::kBoth) {
      each([&, l = shared(weight), m = shared(bias)](auto k) { v[k] = fma(v[k], l, m); });
    }
    if constexpr (S::kEnd == End::kAdd) {
      each([&](auto k) { v[k] = v[k] + at(addend + k * next); });
    }
    // A bound of -infinity leaves all as it is, NaN and -0 included.
    if constexpr (S::kEnd != End::kNone) each([&](auto k) { v[k] = larger(least, v[k]); });
  }

 private:
  template <class Body>
  static void each(const Body& body) {
    unroll<N>(body);
  }
};

// body(first, constant N) for all of `number` rows or lines, two at a time where told so.
template <bool kPairs, class Body>
[[gnu::always_inline]] inline void for_each(int64_t number, bool pairs, const Body& body) {
  int64_t r = 0;
  if constexpr (kPairs) {
    for (; pairs && r + 2 <= number; r += 2) body(r, std::integral_constant<int, 2>{});
  }
  for (; r < number; ++r) body(r, std::integral_constant<int, 1>{});
}

// Short rows that follow one another, as one run: the map of a vector is that of its row, or of two
// rows that meet in it. Past the cache more lines are then read before they are written.
template <class S, class X, class V>
class OneRun {
 public:
  using T = typename V::Element;

  static bool serves(const Runs<X, 1>& all, int64_t rows, int64_t count, const Ending& end) {
    constexpr int64_t kAll = int64_t{1} << 32;
    return rows > 1 && V::kLanes <= count && count < kWorthAligning && all.xs == count &&
           all.ys == count && (!end.addend || end.next == count) && rows * count < kAll / count;
  }

  OneRun(int64_t rows, int64_t count, const RowMaps<T>& by)
      : center_(by.center),
        scale_(by.scale),
        shift_(by.shift),
        next_(by.next),
        then_(0, nullptr, 0, nullptr, 0, by.end),
        last_(rows - 1),
        count_(count),
        reciprocal_((uint64_t{1} << 32) / static_cast<uint64_t>(count) + 1) {}

  template <class At>
  [[gnu::always_inline]] void operator()(V (&v)[1], At at) const {
    const uint64_t i = at.i < 0 ? 0 : static_cast<uint64_t>(at.i);
    // i / count_; the lanes of a vector beyond the end are nobody's.
    const auto found = static_cast<int64_t>(i * reciprocal_ >> 32);
    const int64_t row = found < last_ ? found : last_, after = row < last_ ? row + 1 : row;
    const int64_t rest = (row + 1) * count_ - at.i, left = rest < 0 ? 0 : rest;
    const auto of = [&](const T* p) {
      const V own = V::set(p[row * next_]);
      return left < V::kLanes ? join(own, V::set(p[after * next_]), left) : own;
    };
    v[0] = fma(v[0] - of(center_), of(scale_), of(shift_));
    then_(v, at);
  }

 private:
  const T *center_, *scale_, *shift_;
  const int64_t next_;
  const Then<S, X, V, 1> then_;
  const int64_t last_, count_;
  const uint64_t reciprocal_;
};

template <bool kStream, class X, class Y = X, Who W = Who::kRows, class T>
void map_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
              const RowMaps<T>& maps, int64_t ahead, Seam* seam) {
  using V = typename Lanes<X>::V;
  choose_steps<W>(maps.weight, maps.bias, maps.step, maps.end, [&](auto steps) {
    using S = decltype(steps);
    // Copies, as whatever is stored to y could change what lies elsewhere.
    const RowMaps<T> by = maps;
    const Runs<X, 1, Y> all = {static_cast<const X*>(x), xs, static_cast<Y*>(y), ys};
    const int64_t size = count;
    const Reading reading = Reading::of(all, ahead);
    Joint<V, Y> joint;
    if constexpr (kStream) joint.resume(*seam);
    if constexpr (kStream && W == Who::kRows && S::kAffine == Affine::kNone) {
      using Map = OneRun<S, X, V>;
      if (Map::serves(all, rows, size, by.end)) {
        run<true, V, 1>(all, rows * size, reading, joint, Map(rows, size, by));
        return joint.wait(*seam);
      }
    }
    // Two rows share what they load of weight and bias; streaming, they start at the same place of
    // a line.
    const bool even = ys * static_cast<int64_t>(sizeof(Y)) % 64 == 0 && count >= joint.kLine;
    const bool pairs = by.weight_next == 0 && by.bias_next == 0 && (!kStream || even);
    for_each<S::kLoads>(rows, pairs, [&](int64_t r, auto n) __attribute__((always_inline)) {
      constexpr int N = n();
      const Then<S, X, V, N> then(r, by.weight, by.weight_next, by.bias, by.bias_next, by.end);
      V c[N], s[N], t[N];
      unroll<N>([&](auto k) __attribute__((always_inline)) {
        const int64_t m = (r + k) * by.next;
        c[k] = V::set(by.center[m]), s[k] = V::set(by.scale[m]), t[k] = V::set(by.shift[m]);
      });
      run<kStream, V, kStep<Y, N>>(all.template row<N>(r), size, reading, joint,
                                   [&](V(&v)[N], auto at) __attribute__((always_inline)) {
                                     unroll<N>([&](auto k) __attribute__((always_inline)) {
                                       v[k] = fma(v[k] - c[k], s[k], t[k]);
                                     });
                                     then(v, at);
                                   });
    });
    if constexpr (kStream) joint.wait(*seam);
  });
}

// Two lines share what they load of center, scale and shift.
template <bool kStream, class X, class T>
void map_lines(const void* x, int64_t xs, void* y, int64_t ys, int64_t lines, int64_t lanes,
               const LaneMaps<T>& maps, int64_t ahead, Seam* seam) {
  using V = typename Lanes<X>::V;
  choose_steps<Who::kLines>(maps.weight, maps.bias, maps.step, maps.end, [&](auto steps) {
    using S = decltype(steps);
    const LaneMaps<T> by = maps;  // copies, as above
    const Runs<X, 1> all = {static_cast<const X*>(x), xs, static_cast<X*>(y), ys};
    const int64_t size = lanes;
    const Reading reading = {ahead};
    Joint<V, X> joint;
    if constexpr (kStream) joint.resume(*seam);
    constexpr bool kPairs = !S::kLoads && S::kEnd != End::kAdd && !kStream;
    for_each<kPairs>(lines, true, [&](int64_t r, auto n) __attribute__((always_inline)) {
      constexpr int N = n();
      const Then<S, X, V, N> then(r, by.weight, by.weight_next, by.bias, by.bias_next, by.end);
      run<kStream, V, kStep<X, N>>(
          all.template row<N>(r), size, reading, joint,
          [&](V(&v)[N], auto at) __attribute__((always_inline)) {
            const V c = in_register(at(by.center));
            const V s = in_register(at(by.scale));
            const V t = in_register(at(by.shift));
            unroll<N>([&](auto k) __attribute__((always_inline)) { v[k] = fma(v[k] - c, s, t); });
            then(v, at);
          });
    });
    if constexpr (kStream) joint.wait(*seam);
  });
}

template <class X, class T = Computing<X>>
void apply_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
                const RowMaps<T>& maps) noexcept {
  map_rows<false, X>(x, xs, y, ys, rows, count, maps, 0, nullptr);
}

template <class X, class T = Computing<X>>
void stream_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
                 const RowMaps<T>& maps, int64_t ahead, Seam& seam) noexcept {
  map_rows<true, X>(x, xs, y, ys, rows, count, maps, ahead, &seam);
}

template <class X, class T = Computing<X>>
void apply_lines(const void* x, int64_t xs, void* y, int64_t ys, int64_t lines, int64_t lanes,
                 const LaneMaps<T>& maps) noexcept {
  map_lines<false, X>(x, xs, y, ys, lines, lanes, maps, 0, nullptr);
}

template <class X, class T = Computing<X>>
void stream_lines(const void* x, int64_t xs, void* y, int64_t ys, int64_t lines, int64_t lanes,
                  const LaneMaps<T>& maps, int64_t ahead, Seam& seam) noexcept {
  map_lines<true, X>(x, xs, y, ys, lines, lanes, maps, ahead, &seam);
}

template <class Y>
void map_bytes(const uint8_t* x, void* y, int64_t count, const Normalizer<float>& map,
               bool stream) noexcept {
  const F32 c = F32::set(map.center), s = F32::set(map.scale), t = F32::set(map.shift);
  const auto apply = [=](F32(&v)[1], auto)
                         __attribute__((always_inline)) { v[0] = fma(v[0] - c, s, t); };
  const Runs<uint8_t, 1, Y> run = {x, 0, static_cast<Y*>(y), 0};
  if (!stream) return map_run<F32, kStep<Y, 1>>(run, count, apply);
  Joint<F32, Y> joint;
  stream_run<F32>(run, count, Reading{}, joint, apply);
  joint.leave();
}

// The yardsticks: a copy, and one by whole lines past the cache.
void copy_run(const float* x, float* y, int64_t count) noexcept {
  map_run<F32, 4>(Runs<float, 1>{x, 0, y, 0}, count, [](F32(&)[1], auto) {});
}

void stream_copy(const float* x, float* y, int64_t count) noexcept {
  Joint<F32, float> joint;
  stream_run<F32>(Runs<float, 1>{x, 0, y, 0}, count, Reading{}, joint, [](F32(&)[1], auto) {});
  joint.leave();
  fence();
}

void fence_streams() noexcept { fence(); }

}  // namespace
}  // namespace normfast
