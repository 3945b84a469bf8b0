// One pass that reads x and writes y. Subtract first, then one fma: x*a + b with b = -mean*a would
// lose every digit of a large mean.

namespace normfast {
namespace {

// body(constant k) for k < N: loops would leave what is indexed by k in memory.
template <int N, class Body>
[[gnu::always_inline]] inline void unroll(Body body) {
  [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
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

  // M of them from number r on.
  template <int M>
  [[gnu::always_inline]] Runs<X, M, Y> row(int64_t r) const {
    return {x + r * xs, xs, y + r * ys, ys};
  }
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
struct Between {
  int64_t i, first, last;

  template <class X>
  [[gnu::always_inline]] V operator()(const X* p) const {
    return V::load(p + i, first, last);
  }
  template <class X>
  [[gnu::always_inline]] void put(V v, X* p) const {
    v.store(p + i, first, last);
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
// is: stores and loads that straddle two take longer. (Halves wait for their rounding.)
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

// What a line of y lacks, until the elements that follow come: in registers, as memory that is
// written in parts and then read whole is waited for until all that was streamed has left. `filled`
// elements of it are there.
template <class V, class Y>
struct Joint {
  static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Y));
  static constexpr int kVectors = static_cast<int>(kLine / V::kLanes);
  V v[kVectors];
  Y* line = nullptr;
  int64_t filled = 0;

  [[gnu::always_inline]] Joint() {
    unroll<kVectors>([&](auto u) __attribute__((always_inline)) { v[u] = V::set(0); });
  }

  // The lanes of vector u of a line that has so many elements.
  [[gnu::always_inline]] static int64_t lanes(int64_t elements, int u) {
    const int64_t some = elements - u * V::kLanes;
    return some < 0 ? 0 : some > V::kLanes ? V::kLanes : some;
  }
  // Elements [first, last) of a line, whose others are somebody else's.
  [[gnu::always_inline]] static void put(const V (&v)[kVectors], Y* line, int64_t first,
                                         int64_t last) {
    unroll<kVectors>([&](auto u) __attribute__((always_inline)) {
      v[u].store(line + u * V::kLanes, lanes(first, u), lanes(last, u));
    });
  }
  [[gnu::always_inline]] void leave() {
    if (line) put(v, line, 0, filled);
    line = nullptr;
  }
  [[gnu::always_inline]] void take(const V (&from)[kVectors], Y* there, int64_t elements) {
    unroll<kVectors>([&](auto u) __attribute__((always_inline)) { v[u] = from[u]; });
    line = there, filled = elements;
  }
  // To be continued by `rest`, which has the elements from number `first` on.
  [[gnu::always_inline]] void join_with(const V (&rest)[kVectors], int64_t first) {
    unroll<kVectors>([&](auto u) __attribute__((always_inline)) {
      v[u] = join(v[u], rest[u], lanes(first, u));
    });
  }
  [[gnu::always_inline]] void stream() {
    if constexpr (kVectors == 2) {
      V::stream(line, v[0], v[1]);
    } else {
      v[0].stream(line);
    }
    line = nullptr;
  }

  // From one call to the next.
  [[gnu::always_inline]] void resume(Seam& seam) {
    if (!seam.line) return;
    const Y* const bytes = reinterpret_cast<const Y*>(seam.bytes);
    unroll<kVectors>([&](auto u)
                         __attribute__((always_inline)) { v[u] = V::load(bytes + u * V::kLanes); });
    line = reinterpret_cast<Y*>(seam.line);
    filled = seam.filled / static_cast<int64_t>(sizeof(Y));
    seam.line = nullptr;
  }
  [[gnu::always_inline]] void wait(Seam& seam) {
    if (!line) return;
    if constexpr (kVectors == 2) {
      V::store(reinterpret_cast<Y*>(seam.bytes), v[0], v[1]);
    } else {
      v[0].store(reinterpret_cast<Y*>(seam.bytes));
    }
    seam.line = reinterpret_cast<char*>(line);
    seam.filled = filled * static_cast<int64_t>(sizeof(Y));
  }
};

// Elements [first, last) of a line of each run, from element i of the run on, where that line
// starts: before the run, maybe.
template <class V, int U, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void map_part(const Runs<X, N, Y>& runs, int64_t i, int64_t first,
                                            int64_t last, const Map& map, V (&v)[N][U]) {
  using J = Joint<V, Y>;
  unroll<U>([&](auto u) __attribute__((always_inline)) {
    const Between<V> at = {i + u * V::kLanes, J::lanes(first, u), J::lanes(last, u)};
    V part[N];
    unroll<N>([&](auto k) __attribute__((always_inline)) { part[k] = at(runs.x + k * runs.xs); });
    map(part, at);
    unroll<N>([&](auto k) __attribute__((always_inline)) { v[k][u] = part[k]; });
  });
}

// How runs are read that leave past the cache: what is fetched meanwhile, bytes ahead of x, and
// whether the last lines go first. A load waits for an earlier store to the same place of another
// page, as that is compared first: so several lines are read before the first is written, and where
// y starts a little further into its page than x, which is in a cache, their order is turned. (What
// comes from memory is fetched forwards.)
constexpr int kTogetherStreamed = 4;  // vectors
struct Reading {
  int64_t ahead = 0;
  bool last_first = false;

  template <class X, class Y>
  static Reading of(const Runs<X, 1, Y>& runs, int64_t ahead) {
    constexpr uintptr_t kPage = 4096;
    const uintptr_t x = reinterpret_cast<uintptr_t>(runs.x),
                    y = reinterpret_cast<uintptr_t>(runs.y);
    return {ahead, ahead == 0 && sizeof(X) == sizeof(Y) && (y - x) % kPage - 1 < kPage / 2};
  }
};

// The same past the cache, whole lines of it: y is not to be read first, nor soon again. What is
// read next is fetched meanwhile. All runs of y start at the same place of a line; the first of
// them may continue the joint, and the last is continued by it. Two runs have a line each at least.
template <class V, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void stream_run(Runs<X, N, Y> runs, int64_t count, Reading by,
                                              Joint<V, Y>& joint, const Map& map) {
  constexpr int64_t kLine = Joint<V, Y>::kLine;
  constexpr int U = Joint<V, Y>::kVectors;
  const int64_t beyond = static_cast<int64_t>(reinterpret_cast<uintptr_t>(runs.y) % 64 / sizeof(Y));
  const int64_t last = (beyond + count) / kLine * kLine - beyond;  // where the last line starts
  const int64_t rest = count - last;                               // what it lacks the others of
  Y* const line = runs.y - beyond;
  const bool continues = beyond > 0 && joint.line == line && joint.filled == beyond;
  if (!continues) joint.leave();
  int64_t i = -beyond;
  V tail[N][U];
  unroll<N>([&](auto k) __attribute__((always_inline)) {
    unroll<U>([&](auto u) __attribute__((always_inline)) { tail[k][u] = V::set(0); });
  });
  if (rest > 0 && last >= 0) map_part<V, U>(runs, last, 0, rest, map, tail);
  if (beyond > 0) {
    V head[N][U];
    const int64_t end = beyond + count < kLine ? beyond + count : kLine;
    map_part<V, U>(runs, i, beyond, end, map, head);
    if (!continues) {
      Joint<V, Y>::put(head[0], line, beyond, end);
    } else {
      joint.join_with(head[0], beyond);
      joint.filled = end;
      if (end == kLine) joint.stream();
    }
    const bool meet = rest == beyond && runs.ys == count;
    unroll<N - 1>([&](auto k) __attribute__((always_inline)) {
      Y* const next = line + (k + 1) * runs.ys;
      if (meet) {
        joint.take(tail[k], next, rest);
        joint.join_with(head[k + 1], beyond);
        joint.stream();
      } else {
        if (rest > 0) Joint<V, Y>::put(tail[k], runs.y + k * runs.ys + last, 0, rest);
        Joint<V, Y>::put(head[k + 1], next, beyond, kLine);
      }
    });
    i += kLine;
  } else if (rest > 0) {
    unroll<N - 1>([&](auto k) __attribute__((always_inline)) {
      Joint<V, Y>::put(tail[k], runs.y + k * runs.ys + last, 0, rest);
    });
  }
  // Addresses only: they may lie past the array.
  const uintptr_t next = reinterpret_cast<uintptr_t>(runs.x) + static_cast<uintptr_t>(by.ahead);
  const uintptr_t step = static_cast<uintptr_t>(runs.xs) * sizeof(X);
  int64_t left = last - i;
  const auto lines = [&](auto number) __attribute__((always_inline)) {
    constexpr int64_t kSize = number() * kLine;
    for (; left >= kSize; left -= kSize) {
      const int64_t here = by.last_first ? i + left - kSize : last - left;
      const uintptr_t at = next + static_cast<uintptr_t>(here) * sizeof(Y);
      // (In a function of its own the compiler takes it for nothing.)
      for (uintptr_t k = 0; k < N; ++k) {
        for (uintptr_t l = 0; l < kSize * sizeof(Y); l += 64) {
          __builtin_prefetch(reinterpret_cast<const void*>(at + k * step + l));
        }
      }
      map_vectors<number() * U, V>(runs, here, map, Stream{});
    }
  };
  constexpr int kLines = N == 1 ? kTogetherStreamed / U : 1;
  if constexpr (kLines > 1) lines(std::integral_constant<int, kLines>{});
  lines(std::integral_constant<int, 1>{});
  if (rest > 0 && last >= 0) joint.take(tail[N - 1], runs.y + (N - 1) * runs.ys + last, rest);
}

template <bool kStream, class V, int U, class X, int N, class Y, class Map>
[[gnu::always_inline]] inline void run(Runs<X, N, Y> runs, int64_t count,
                                       [[maybe_unused]] Reading by,
                                       [[maybe_unused]] Joint<V, Y>& joint, const Map& map) {
  if constexpr (kStream) {
    stream_run<V>(runs, count, by, joint, map);
  } else {
    map_run<V, U>(runs, count, map);
  }
}

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
        addend_(static_cast<const X*>(by.end.addend)),
        least_(V::set(by.end.relu ? T(0) : -static_cast<T>(__builtin_inf()))),
        last_(rows - 1),
        count_(count),
        reciprocal_((uint64_t{1} << 32) / static_cast<uint64_t>(count) + 1) {}

  template <class At>
  [[gnu::always_inline]] void operator()(V (&v)[1], At at) const {
    const uint64_t i = at.i < 0 ? 0 : static_cast<uint64_t>(at.i);
    // i / count_; the lanes of a vector beyond the end are nobody's.
    const auto found = static_cast<int64_t>(i * reciprocal_ >> 32);
    const int64_t row = found < last_ ? found : last_, after = row < last_ ? row + 1 : row;
    const int64_t left = (row + 1) * count_ - at.i;
    const auto of = [&](const T* p) {
      const V own = V::set(p[row * next_]);
      return left < V::kLanes ? join(own, V::set(p[after * next_]), left) : own;
    };
    v[0] = fma(v[0] - of(center_), of(scale_), of(shift_));
    if constexpr (S::kEnd == End::kAdd) v[0] = v[0] + at(addend_);
    if constexpr (S::kEnd != End::kNone) v[0] = larger(least_, v[0]);
  }

 private:
  const T *center_, *scale_, *shift_;
  const int64_t next_;
  const X* const addend_;
  const V least_;
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
