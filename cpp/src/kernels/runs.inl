// How maps walk runs of x and y: vectors at a time, by whole cache lines of y, past the cache or
// through it. What a map does with a vector is told by who calls.

namespace normfast {
namespace {

// body(constant k) for k < N: loops would leave what is indexed by k in memory.
template <int N, class Body>
[[gnu::always_inline]] inline void unroll(Body body) {
  [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, k>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

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

}  // namespace
}  // namespace normfast
