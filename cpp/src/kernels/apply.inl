// One pass that reads x and writes y. Subtract first, then one fma: x*a + b with b = -mean*a would
// lose every digit of a large mean.

namespace normfast {
namespace {

// body(constant k) for k < N: loops would leave what is indexed by k in memory.
template <int N, class Body>
[[gnu::always_inline]] inline void unroll(Body body) {
  [&]<int... k>(std::integer_sequence<int, k...>) {
    (body(std::integral_constant<int, k>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

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

// N runs of x, `xs` elements apart, and N of y.
template <class X, int N, class Y = X>
struct Runs {
  const X* x;
  int64_t xs;
  Y* y;
  int64_t ys;

  Runs at(int64_t i) const { return {x + i, xs, y + i, ys}; }
};

// How vectors go to y: one, or two of sixteen bits an element that fill a line.
struct Store {
  template <class X, class V>
  void operator()(X* y, V v) const {
    v.store(y);
  }
  template <class X, class V>
  void operator()(X* y, V v, V w) const {
    V::store(y, v, w);
  }
};
struct Stream {
  template <class X, class V>
  void operator()(X* y, V v) const {
    v.stream(y);
  }
  template <class X, class V>
  void operator()(X* y, V v, V w) const {
    V::stream(y, v, w);
  }
};

// Vectors of each run in one step: all are read before the first is written, as a load may wait for
// an earlier store to the same place of another page. As many as registers hold.
template <class Y, int N>
inline constexpr int kStep =
    (N > 1 || sizeof(Y) == 2 ? 2 : 4) * (F32::kRegisters >= 32 && (N > 1 || sizeof(Y) > 2) ? 2 : 1);

// Where a vector lies in its run; here its lanes of another array are read and written.
template <class V>
struct Whole {
  int64_t i;

  template <class X>
  [[gnu::always_inline]] V operator()(const X* p) const {
    return V::load(p + i);
  }
  template <class X>
  [[gnu::always_inline]] void put(V v, X* p) const {
    v.store(p + i);
  }
};
template <class V>
struct Some {
  int64_t i, count;

  template <class X>
  [[gnu::always_inline]] V operator()(const X* p) const {
    return V::load(p + i, count);
  }
  template <class X>
  [[gnu::always_inline]] void put(V v, X* p) const {
    v.store(p + i, count);
  }
};

// map(v, at) makes y of x in place, a vector of each run.
template <int U, class V, class X, int N, class Y, class Map, class Store>
[[gnu::always_inline]] inline void map_vectors(const Runs<X, N, Y>& runs, int64_t i, const Map& map,
                                               Store store) {
  constexpr int64_t L = V::kLanes;
  V v[U][N];
  unroll<U>([&](auto u) {
    unroll<N>([&](auto k) { v[u][k] = V::load(runs.x + k * runs.xs + i + u * L); });
  });
  unroll<U>([&](auto u) { map(v[u], Whole<V>{i + u * L}); });
  unroll<N>([&](auto k) {
    Y* const y = runs.y + k * runs.ys + i;
    if constexpr (sizeof(Y) == 2 && U % 2 == 0) {
      unroll<U / 2>([&](auto u) { store(y + 2 * u * L, v[2 * u][k], v[2 * u + 1][k]); });
    } else {
      unroll<U>([&](auto u) { store(y + u * L, v[u][k]); });
    }
  });
}

template <class V, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void map_some(const Runs<X, N, Y>& runs, int64_t i, int64_t m,
                                            const Map& map) {
  V v[N];
  unroll<N>([&](auto k) { v[k] = V::load(runs.x + k * runs.xs + i, m); });
  map(v, Some<V>{i, m});
  unroll<N>([&](auto k) { v[k].store(runs.y + k * runs.ys + i, m); });
}

// From i on: what is less than a step.
template <class V, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void map_rest(const Runs<X, N, Y>& runs, int64_t i, int64_t count,
                                            const Map& map) {
  constexpr int64_t L = V::kLanes;
  for (; i + L <= count; i += L) map_vectors<1, V>(runs, i, map, Store{});
  if (i < count) map_some<V>(runs, i, count - i, map);
}

// Elements of y before the first line that starts with one, less than a line of them.
template <class Y>
int64_t before_line(const Y* y) {
  return static_cast<int64_t>(-reinterpret_cast<uintptr_t>(y) % 64 / sizeof(Y));
}

// Runs from so many elements on are mapped by whole lines of y, which is often as far into one as x
// is: stores and loads that straddle two take twice as long. (Halves wait for their rounding.)
constexpr int64_t kWorthAligning = 128;

template <class V, int U, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void map_run(Runs<X, N, Y> runs, int64_t count, const Map& map) {
  constexpr int64_t L = V::kLanes;
  int64_t i = sizeof(Y) > 2 && count >= kWorthAligning ? before_line(runs.y) : 0;
  if (i > 0) map_rest<V>(runs, 0, i, map);
  if constexpr (U > 1) {
    for (; i + U * L <= count; i += U * L) map_vectors<U, V>(runs, i, map, Store{});
  }
  map_rest<V>(runs, i, count, map);
}

// Elements as they are.
template <class V, class X>
[[gnu::always_inline]] inline void move(const X* from, X* to, int64_t count) {
  map_rest<V>(Runs<X, 1>{from, 0, to, 0}, 0, count, [](V(&)[1], auto) {});
}

[[gnu::always_inline]] inline void stream_line(const void* from, void* to) {
  F32::load(static_cast<const float*>(from)).stream(static_cast<float*>(to));
}

struct NoSeam {};  // where none follows another

// What runs have before and after their whole lines, where they follow one another: the end of one
// and the start of the next meet beside y, and their line leaves as the others do.
template <class V, class X, int N, class Y, class S, class Map>
[[gnu::always_inline]] inline void stream_edges(const Runs<X, N, Y>& runs, int64_t begin,
                                                int64_t end, int64_t count, S& seam,
                                                const Map& map) {
  constexpr int64_t kUnit = static_cast<int64_t>(sizeof(Y)), kLine = 64 / kUnit;
  const int64_t beyond = begin > 0 ? kLine - begin : 0;
  constexpr bool kSeams = std::is_same_v<S, Seam>;
  const bool meet = kSeams && runs.ys == count && count >= kLine;
  alignas(64) [[maybe_unused]] Y shared[N + 1][kLine];
  if constexpr (kSeams) __builtin_memset(shared, 0, sizeof shared);
  if (!meet) {
    // Lines shared with what is written later: their stores need not wait then.
    for (int k = 0; k < N; ++k) __builtin_prefetch(runs.y + k * runs.ys + count, 1);
  }
  for (int after = 0; after < 2; ++after) {
    const int64_t first = after ? end : 0, last = after ? count : begin;
    Y* const to = meet ? shared[after] + (after ? 0 : beyond) : runs.y + first;
    const Runs<X, N, Y> there = {runs.x + first, runs.xs, to, meet ? kLine : runs.ys};
    map_rest<V>(there, 0, last - first, [&](V(&v)[N], auto at) __attribute__((always_inline)) {
      at.i += first;
      map(v, at);
    });
  }
  if constexpr (kSeams) {
    if (!meet) return;
    if (begin > 0) {
      Y* const line = runs.y - beyond;
      if (seam.line == reinterpret_cast<char*>(line) && seam.filled == beyond * kUnit) {
        move<V>(reinterpret_cast<const Y*>(seam.bytes), shared[0], beyond);
        stream_line(shared[0], line);
        seam.line = nullptr;
      } else {
        move<V>(shared[0] + beyond, runs.y, begin);
      }
    }
    if (end < count) {
      for (int k = 1; k < N; ++k) stream_line(shared[k], runs.y + (k - 1) * runs.ys + end);
      seam.leave();
      move<V>(shared[N], reinterpret_cast<Y*>(seam.bytes), count - end);
      seam.line = reinterpret_cast<char*>(runs.y + (N - 1) * runs.ys + end);
      seam.filled = (count - end) * kUnit;
    }
  }
}

// The same past the cache, whole lines of it: y is not to be read first, nor soon again. What is
// read next is fetched meanwhile. All runs of y start at the same place of a line.
template <class V, class X, int N, class Y, class S, class Map>
[[gnu::always_inline]] inline void stream_run(Runs<X, N, Y> runs, int64_t count, int64_t ahead,
                                              S& seam, const Map& map) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Y));
  constexpr int U = static_cast<int>(kLine / V::kLanes);
  const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(runs.y) % 64 / sizeof(Y));
  const int64_t begin = beyond == 0 ? 0 : beyond + count < kLine ? count : kLine - beyond;
  const int64_t end = begin + (count - begin) / kLine * kLine;
  if (begin > 0 || end < count) stream_edges<V>(runs, begin, end, count, seam, map);
  // Addresses only: they may lie past the array.
  const uintptr_t next = reinterpret_cast<uintptr_t>(runs.x) + static_cast<uintptr_t>(ahead);
  const uintptr_t step = static_cast<uintptr_t>(runs.xs) * sizeof(X);
  for (int64_t i = begin; i < end; i += kLine) {
    const uintptr_t at = next + static_cast<uintptr_t>(i) * sizeof(Y);
    // (In a function of its own the compiler takes it for nothing.)
    for (uintptr_t k = 0; k < N; ++k) {
      __builtin_prefetch(reinterpret_cast<const void*>(at + k * step));
    }
    map_vectors<U, V>(runs, i, map, Stream{});
  }
}

template <bool kStream, class V, int U, class X, int N, class Y, class S, class Map>
[[gnu::always_inline]] inline void run(Runs<X, N, Y> runs, int64_t count,
                                       [[maybe_unused]] int64_t ahead, [[maybe_unused]] S* seam,
                                       const Map& map) {
  if constexpr (kStream) {
    stream_run<V>(runs, count, ahead, *seam, map);
  } else {
    map_run<V, U>(runs, count, map);
  }
}

// body(first, constant N) for all of `number` rows or lines, two at a time where told so.
template <bool kPairs, class Body>
void for_each(int64_t number, bool pairs, const Body& body) {
  int64_t r = 0;
  if constexpr (kPairs) {
    for (; pairs && r + 2 <= number; r += 2) body(r, std::integral_constant<int, 2>{});
  }
  for (; r < number; ++r) body(r, std::integral_constant<int, 1>{});
}

// Results that follow one another in y wait in a block until whole lines of them are together,
// where this is faster than to join the ends of each two rows: where those start at different
// places of a line, or are halves.
constexpr int64_t kBlock = 4096, kUnevenRow = 640, kEvenHalves = 256;  // bytes

template <class Y>
bool leaves_in_blocks(const Y* y, int64_t ys, int64_t count) {
  const int64_t bytes = count * static_cast<int64_t>(sizeof(Y));
  if (ys != count) return false;
  if (bytes % 64) return bytes < kUnevenRow;
  return sizeof(Y) == 2 && bytes < kEvenHalves && before_line(y) > 0;
}

// The block starts as far into a line as y does. What does not fill its last line goes to the seam.
inline void stream_block(char* block, char* y, int64_t bytes, Seam& seam) {
  const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % 64);
  const int64_t end = beyond + bytes;
  char* const line = y - beyond;
  int64_t i = 0;
  if (beyond > 0) {
    if (seam.line == line && seam.filled == beyond) {
      __builtin_memcpy(block, seam.bytes, static_cast<size_t>(beyond));
      seam.line = nullptr;
    } else {
      i = end < 64 ? end : 64;
      __builtin_memcpy(y, block + beyond, static_cast<size_t>(i - beyond));
    }
  }
  for (; i + 64 <= end; i += 64) stream_line(block + i, line + i);
  if (i < end) {
    seam.leave();
    __builtin_memcpy(seam.bytes, block + i, static_cast<size_t>(end - i));
    seam.line = line + i;
    seam.filled = end - i;
  }
}

// map(block, first, n) maps n rows from number `first` on to where they follow one another.
template <class Y, class Map>
void stream_in_blocks(Y* y, int64_t rows, int64_t count, Seam& seam, const Map& map) {
  const int64_t bytes = count * static_cast<int64_t>(sizeof(Y)), most = kBlock / bytes;
  alignas(64) char block[64 + kBlock];
  for (int64_t r = 0; r < rows; r += most) {
    const int64_t n = rows - r < most ? rows - r : most;
    char* const to = reinterpret_cast<char*>(y + r * count);
    map(block + reinterpret_cast<uintptr_t>(to) % 64, r, n);
    stream_block(block, to, n * bytes, seam);
  }
}

template <bool kStream, class X, class Y = X, Who W = Who::kRows, class T>
void map_rows(const void* x, int64_t xs, void* y, int64_t ys, int64_t rows, int64_t count,
              const RowMaps<T>& maps, int64_t ahead, Seam* seam) {
  using V = typename Lanes<X>::V;
  if constexpr (kStream) {
    Y* const to = static_cast<Y*>(y);
    if (leaves_in_blocks(to, ys, count)) {
      return stream_in_blocks(to, rows, count, *seam, [&](char* block, int64_t r, int64_t n) {
        map_rows<false, X, Y, W>(static_cast<const X*>(x) + r * xs, xs, block, count, n, count,
                                 maps.from(r, sizeof(X)), 0, nullptr);
      });
    }
  }
  choose_steps<W>(maps.weight, maps.bias, maps.step, maps.end, [&](auto steps) {
    using S = decltype(steps);
    // Two rows share what they load of weight and bias; streaming, they start at the same place of
    // a line.
    const bool pairs = maps.weight_next == 0 && maps.bias_next == 0 &&
                       (!kStream || ys * static_cast<int64_t>(sizeof(Y)) % 64 == 0);
    for_each<S::kLoads>(rows, pairs, [&](int64_t r, auto n) {
      constexpr int N = n();
      const Then<S, X, V, N> then(r, maps.weight, maps.weight_next, maps.bias, maps.bias_next,
                                  maps.end);
      V c[N], s[N], t[N];
      unroll<N>([&](auto k) {
        const int64_t m = (r + k) * maps.next;
        c[k] = V::set(maps.center[m]), s[k] = V::set(maps.scale[m]), t[k] = V::set(maps.shift[m]);
      });
      const Runs<X, N, Y> runs = {static_cast<const X*>(x) + r * xs, xs,
                                  static_cast<Y*>(y) + r * ys, ys};
      run<kStream, V, kStep<Y, N>>(
          runs, count, ahead, seam, [&](V(&v)[N], auto at) __attribute__((always_inline)) {
            unroll<N>([&](auto k) { v[k] = fma(v[k] - c[k], s[k], t[k]); });
            then(v, at);
          });
    });
  });
}

// Two lines share what they load of center, scale and shift.
template <bool kStream, class X, class T>
void map_lines(const void* x, int64_t xs, void* y, int64_t ys, int64_t lines, int64_t lanes,
               const LaneMaps<T>& maps, int64_t ahead, Seam* seam) {
  using V = typename Lanes<X>::V;
  const T *const center = maps.center, *const scale = maps.scale, *const shift = maps.shift;
  const T *const weight = maps.weight, *const bias = maps.bias;
  const Ending end = maps.end;
  choose_steps<Who::kLines>(weight, bias, maps.step, end, [&](auto steps) {
    using S = decltype(steps);
    constexpr bool kPairs = S::kAffine == Affine::kNone && S::kEnd != End::kAdd && !kStream;
    for_each<kPairs>(lines, true, [&](int64_t r, auto n) {
      constexpr int N = n();
      const Then<S, X, V, N> then(r, weight, 0, bias, 0, end);
      const Runs<X, N> runs = {static_cast<const X*>(x) + r * xs, xs, static_cast<X*>(y) + r * ys,
                               ys};
      run<kStream, V, kStep<X, N>>(runs, lanes, ahead, seam,
                                   [&](V(&v)[N], auto at) __attribute__((always_inline)) {
                                     const V c = in_register(at(center));
                                     const V s = in_register(at(scale));
                                     const V t = in_register(at(shift));
                                     unroll<N>([&](auto k) { v[k] = fma(v[k] - c, s, t); });
                                     then(v, at);
                                   });
    });
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

// The yardsticks: a copy, and one by whole lines past the cache.
void copy_run(const float* x, float* y, int64_t count) noexcept {
  map_run<F32, 4>(Runs<float, 1>{x, 0, y, 0}, count, [](F32(&)[1], auto) {});
}

void stream_copy(const float* x, float* y, int64_t count) noexcept {
  NoSeam none;
  stream_run<F32>(Runs<float, 1>{x, 0, y, 0}, count, 0, none, [](F32(&)[1], auto) {});
  fence();
}

void fence_streams() noexcept { fence(); }

}  // namespace
}  // namespace normfast
