// Statistics of rows and columns. Included after one vector header; see numerics.md for the essay.
//
// The sums of a group are kept in the element type, sixteen (or eight) lanes wide, and widened to
// float64 after it. They are trusted only where the data read shows that nothing cancelled:
// m2 = Q - S*S/n may lose half of Q, no more. Otherwise the same elements are summed again in
// float64.

#include <type_traits>
#include <utility>

namespace normfast {
namespace {

// The vector that elements of a storage type are computed in.
template <class X>
struct Lanes {
  using V = F32;
};
template <>
struct Lanes<double> {
  using V = F64;
};
template <class X>
using Computing = typename Lanes<X>::V::Element;

F64 fold(F64 a) { return a; }

// Sixteen consecutive elements in float64.
struct Wide {
  F64 lo, hi;
};

template <class X>
Wide load_wide(const X* x) {
  const F32 v = F32::load(x);
  return {widen_low(v), widen_high(v)};
}
template <class X>
Wide load_wide(const X* x, int64_t count) {
  const F32 v = F32::load(x, count);
  return {widen_low(v), widen_high(v)};
}
Wide load_wide(const float* x) { return {load_f64(x), load_f64(x + 8)}; }
Wide load_wide(const double* x) { return {F64::load(x), F64::load(x + 8)}; }
Wide load_wide(const double* x, int64_t count) {
  if (count <= 8) return {F64::load(x, count), F64::set(0)};
  return {F64::load(x), F64::load(x + 8, count - 8)};
}
Wide keep(Wide a, int64_t count) {
  if (count <= 8) return {keep(a.lo, count), F64::set(0)};
  return {a.lo, keep(a.hi, count - 8)};
}

// What one reduction makes of Q and a vector.
template <Reduction R, class V>
V accumulate(V q, V d) {
  if constexpr (R == Reduction::kMagnitudes) return q + abs(d);
  if constexpr (R == Reduction::kMaximum) return max_magnitude(q, abs(d));
  return fma(d, d, q);
}

// How one reduction turns a vector into what is added to S and to Q.
template <Reduction R, class V>
struct Accumulator {
  V s, q[4];

  static Accumulator zero() {
    const V z = V::set(0);
    return {z, {z, z, z, z}};
  }

  void add(V d0, V d1, V d2, V d3) {
    if constexpr (R == Reduction::kMoments) {
      d0 = in_register(d0), d1 = in_register(d1), d2 = in_register(d2), d3 = in_register(d3);
      s = s + ((d0 + d1) + (d2 + d3));
    }
    add_one<0>(d0);
    add_one<1>(d1);
    add_one<2>(d2);
    add_one<3>(d3);
  }

  // The tail: vector j goes to s and to q[j].
  template <int J>
  void add_last(V d) {
    if constexpr (R == Reduction::kMoments) s = s + d;
    add_one<J>(d);
  }

  V squares() const {
    if constexpr (R == Reduction::kMaximum) {
      return max_magnitude(max_magnitude(q[0], q[1]), max_magnitude(q[2], q[3]));
    } else {
      return (q[0] + q[1]) + (q[2] + q[3]);
    }
  }

 private:
  template <int J>
  void add_one(V d) {
    q[J] = accumulate<R>(q[J], d);
  }
};

template <Reduction R>
F64 combine(F64 a, F64 b) {
  if constexpr (R == Reduction::kMaximum) return max_magnitude(a, b);
  return a + b;
}

template <Reduction R>
F64 fold_squares(F64 a) {
  return a;
}
template <Reduction R>
F64 fold_squares(F32 a) {
  if constexpr (R == Reduction::kMaximum) return max_magnitude(widen_low(a), widen_high(a));
  return fold(a);
}

template <Reduction R>
double total(F64 a) {
  if constexpr (R != Reduction::kMaximum) return sum(a);
  double lane[8];
  a.store(lane);
  double largest = lane[0];
  for (int i = 1; i < 8; ++i) {
    if (lane[i] > largest || lane[i] != lane[i]) largest = lane[i];
    if (largest != largest) break;
  }
  return largest;
}

// ---- rows -------------------------------------------------------------------------------------

template <Reduction R, bool kShift, class V, class T>
void add_group(const T* x, int64_t n, V c, F64& S, F64& Q) {
  constexpr int64_t L = V::kLanes;
  const auto get = [&](int64_t i) {
    const V v = V::load(x + i);
    if constexpr (kShift) return v - c;
    return v;
  };
  // A lane beyond the end is selected to zero: x - c would be -c there.
  const auto get_some = [&](int64_t i) {
    if (n - i >= L) return get(i);
    V v = V::load(x + i, n - i);
    if constexpr (kShift) v = keep(v - c, n - i);
    return v;
  };
  auto a = Accumulator<R, V>::zero();
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) a.add(get(i), get(i + L), get(i + 2 * L), get(i + 3 * L));
  if (i < n) a.template add_last<0>(get_some(i));
  if (i + L < n) a.template add_last<1>(get_some(i + L));
  if (i + 2 * L < n) a.template add_last<2>(get_some(i + 2 * L));
  if (i + 3 * L < n) a.template add_last<3>(get_some(i + 3 * L));
  if constexpr (R == Reduction::kMoments) S = S + fold(a.s);
  Q = combine<R>(Q, fold_squares<R>(a.squares()));
}

template <class X>
struct Groups {
  const X* x;
  const void* const* groups;

  Groups(const void* first, const void* const* all)
      : x(static_cast<const X*>(first)), groups(all) {}
  const X* operator[](int64_t g) const {
    return groups ? static_cast<const X*>(groups[g]) : x + g * kGroup;
  }
};

// The first of a group's elements, widened.
template <class X>
Computing<X> first_of(const X* x) {
  using V = typename Lanes<X>::V;
  Computing<X> some[V::kLanes];
  V::load(x, 1).store(some);
  return some[0];
}

struct Sums {
  F64 s, q;
};

// Float64 sums about c, in the order of the lanes of add_group.
template <Reduction R>
struct ExactSums {
  F64 c;
  Wide s = {F64::set(0), F64::set(0)}, q = s;

  template <class X>
  void add(const X* x, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
      const Wide v = load_wide(x + i);
      add_wide({v.lo - c, v.hi - c});
    }
    if (i < n) {
      const Wide v = load_wide(x + i, n - i);
      add_wide(keep({v.lo - c, v.hi - c}, n - i));
    }
  }
  Sums folded() const { return {s.lo + s.hi, combine<R>(q.lo, q.hi)}; }

 private:
  void add_wide(Wide d) {
    if constexpr (R == Reduction::kMoments) s = {s.lo + d.lo, s.hi + d.hi};
    q = {accumulate<R>(q.lo, d.lo), accumulate<R>(q.hi, d.hi)};
  }
};

template <Reduction R, class X>
void sum_exact(Groups<X> x, int64_t n, double center, double& S, double& Q) {
  ExactSums<R> exact = {F64::set(center)};
  for (int64_t g = 0; g * kGroup < n; ++g) {
    exact.add(x[g], n - g * kGroup < kGroup ? n - g * kGroup : kGroup);
  }
  const Sums sums = exact.folded();
  S = sum(sums.s);
  Q = total<R>(sums.q);
}

// c + t as a sum of two doubles, exact.
Moments moments_about(double n, double c, double t, double m2) {
  const double hi = c + t;
  const double part = hi - c;
  const double lo = (c - (hi - part)) + (t - part);
  return {n, hi, lo, m2 < 0 ? 0 : m2};
}

// About the first element: it is one of the data, so S*S/n exceeds m2 at most n-fold, which float64
// has digits to spare for where the data is float32. Float64 rows are centred a second time.
template <Reduction R, class X>
Moments reduce_exact(Groups<X> x, int64_t n) {
  const double count = static_cast<double>(n);
  double S = 0, Q = 0;
  if constexpr (R != Reduction::kMoments) {
    sum_exact<R>(x, n, 0, S, Q);
    return {count, 0, 0, Q};
  }
  double c = first_of(x[0]);
  sum_exact<R>(x, n, c, S, Q);
  if (sizeof(X) == sizeof(double)) {
    c += S / count;
    sum_exact<R>(x, n, c, S, Q);
  }
  const double t = S / count;
  return moments_about(count, c, t, Q - S * t);
}

// ---- short rows -------------------------------------------------------------------------------
//
// All in float64, about the first element. Eight rows' sums are folded, and their moments found, a
// row a lane. Rows under kRowTurned are turned first, so that a lane is a row throughout.

// Moments of eight rows from their sums about c. Says what m2 would be if it could be below 0.
template <Reduction R>
F64 put_moments(F64 c, Sums sums, int64_t n, int64_t rows, double* mean, double* mean_lo,
                double* m2) {
  const F64 zero = F64::set(0);
  F64 high = zero, low = zero, rest = sums.q, square = rest;
  if constexpr (R == Reduction::kMoments) {
    const F64 t = sums.s / F64::set(static_cast<double>(n));
    high = c + t;
    const F64 part = high - c;
    low = (c - (high - part)) + (t - part);
    rest = sums.q - sums.s * t;
    square = larger(zero, rest);
  }
  high.store(mean, rows);
  low.store(mean_lo, rows);
  square.store(m2, rows);
  return rest;
}

template <Reduction R>
F64 totals(const F64 (&a)[8]) {
  if constexpr (R != Reduction::kMaximum) return sums(a);
  double each[8];
  for (int i = 0; i < 8; ++i) each[i] = total<R>(a[i]);
  return F64::load(each);
}

template <Reduction R, class X>
void reduce_direct(const X* x, int64_t stride, int64_t rows, int64_t n, double* mean,
                   double* mean_lo, double* m2) {
  for (int64_t r = 0; r < rows; r += 8) {
    const int64_t m = rows - r < 8 ? rows - r : 8;
    F64 s[8], q[8];
    double c[8] = {};
    for (int64_t k = 0; k < m; ++k) {
      const X* row = x + (r + k) * stride;
      if constexpr (R == Reduction::kMoments) c[k] = static_cast<double>(first_of(row));
      ExactSums<R> exact = {F64::set(c[k])};
      exact.add(row, n);
      const Sums one = exact.folded();
      s[k] = one.s, q[k] = one.q;
    }
    for (int64_t k = m; k < 8; ++k) s[k] = q[k] = F64::set(0);
    put_moments<R>(F64::load(c), {totals<Reduction::kMoments>(s), totals<R>(q)}, n, m, mean + r,
                   mean_lo + r, m2 + r);
  }
}

template <class X>
F64 load_f64(const X* x, int64_t count) {
  return widen_low(F32::load(x, count));
}
F64 load_f64(const double* x, int64_t count) { return F64::load(x, count); }

// Rows of one block to lanes. The usual lengths by loops of known length, which the compiler turns
// into shuffles.
constexpr int64_t kTurnedRows = 32;
template <int kCount, class X>
void turn_dense(const X* __restrict x, X* __restrict turned) {
  for (int r = 0; r < kTurnedRows; ++r) {
    for (int i = 0; i < kCount; ++i) turned[i * kTurnedRows + r] = x[r * kCount + i];
  }
}

template <class X>
void turn(const X* x, int64_t stride, int64_t rows, int64_t n, X* turned) {
  if (rows == kTurnedRows && stride == n) {
    if (n == 2) return turn_dense<2>(x, turned);
    if (n == 3) return turn_dense<3>(x, turned);
    if (n == 4) return turn_dense<4>(x, turned);
    if (n == 8) return turn_dense<8>(x, turned);
    if (n == 16) return turn_dense<16>(x, turned);
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) turned[i * kTurnedRows + r] = x[r * stride + i];
  }
}

template <Reduction R, class X>
void reduce_turned(const X* x, int64_t stride, int64_t rows, int64_t n, double* mean,
                   double* mean_lo, double* m2) {
  for (int64_t b = 0; b < rows; b += kTurnedRows) {
    const int64_t width = rows - b < kTurnedRows ? rows - b : kTurnedRows;
    X turned[kRowTurned * kTurnedRows];
    turn(x + b * stride, stride, width, n, turned);
    for (int64_t r = 0; r < width; r += 8) {
      const int64_t m = width - r < 8 ? width - r : 8;
      const X* lanes = turned + r;
      const F64 zero = F64::set(0), c = R == Reduction::kMoments ? load_f64(lanes, m) : zero;
      Sums sums = {zero, zero};
      for (int64_t i = 0; i < n; ++i) {
        const F64 d = load_f64(lanes + i * kTurnedRows, m) - c;
        if constexpr (R == Reduction::kMoments) sums.s = sums.s + d;
        sums.q = accumulate<R>(sums.q, d);
      }
      put_moments<R>(c, sums, n, m, mean + b + r, mean_lo + b + r, m2 + b + r);
    }
  }
}

template <Reduction R, class X>
void reduce_short(const X* x, int64_t stride, int64_t rows, int64_t n, double* mean,
                  double* mean_lo, double* m2) {
  const auto reduce = n < kRowTurned ? reduce_turned<R, X> : reduce_direct<R, X>;
  reduce(x, stride, rows, n, mean, mean_lo, m2);
}

// ---- rows of any length -----------------------------------------------------------------------

// Whether sums about a center may be trusted. Positive forms, so that a NaN fails them; q - q is 0
// for a finite q only.
template <Reduction R>
bool trusted(double m2, double q, double least) {
  if constexpr (R == Reduction::kMaximum) return true;
  const bool kept = R != Reduction::kMoments || m2 >= 0.5 * q;
  return kept && q >= (R == Reduction::kMagnitudes ? 0 : least) && q - q == 0;
}

// The mean of the first eight elements.
template <class X>
Computing<X> probe(const X* x) {
  using T = Computing<X>;
  T p[16];
  Lanes<X>::V::load(x, 8).store(p);
  return (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) *
         static_cast<T>(0.125);
}

template <Reduction R, class X>
Moments reduce_row(const void* first, const void* const* groups, int64_t n, double tiny) noexcept {
  using V = typename Lanes<X>::V;
  using T = Computing<X>;
  const Groups<X> x(first, groups);
  const double count = static_cast<double>(n);
  if (n <= kRowDirect) {
    Moments m = {count, 0, 0, 0};
    reduce_short<R>(x[0], 0, 1, n, &m.mean, &m.mean_lo, &m.m2);
    return m;
  }

  F64 S = F64::set(0), Q = F64::set(0);
  const auto add = [&](auto shift, int64_t g, V c) {
    const int64_t left = n - g * kGroup;
    add_group<R, decltype(shift)::value>(x[g], left < kGroup ? left : kGroup, c, S, Q);
  };
  using Raw = std::false_type;
  using Shifted = std::true_type;
  const V zero = V::set(0);
  const int64_t number = (n + kGroup - 1) / kGroup;

  if constexpr (R != Reduction::kMoments) {
    for (int64_t g = 0; g < number; ++g) add(Raw{}, g, zero);
    const double q = total<R>(Q);
    return trusted<R>(q, q, tiny * count) ? Moments{count, 0, 0, q} : reduce_exact<R>(x, n);
  }

  // A probe decides between raw sums and sums about c: one group of a long row, or its first
  // elements.
  T c = 0;
  bool centred = false;
  if (n > kGroup) {
    add(Raw{}, 0, zero);
    const double s = sum(S), q = sum(Q), mean = s / kGroup;
    centred = q - s * mean >= 0.6 * q;
    if (!centred) {
      c = static_cast<T>(mean);
      S = Q = F64::set(0);
    }
  } else {
    c = probe(x[0]);
  }
  if (centred) {
    for (int64_t g = 1; g < number; ++g) add(Raw{}, g, zero);
  } else {
    const V center = V::set(c);
    for (int64_t g = 0; g < number; ++g) add(Shifted{}, g, center);
  }
  const double s = sum(S), q = sum(Q), t = s / count, m2 = q - s * t;
  return trusted<R>(m2, q, tiny * count) ? moments_about(count, c, t, m2) : reduce_exact<R>(x, n);
}

// Eight rows of one group: their sums are folded, and their moments found, a row a lane.
template <Reduction R, class X>
void reduce_eight(const X* x, int64_t stride, int64_t rows, int64_t n, double tiny, double* mean,
                  double* mean_lo, double* m2) {
  using V = typename Lanes<X>::V;
  constexpr bool kShift = R == Reduction::kMoments;
  F64 s[8], q[8];
  double c[8] = {}, square[8], rest[8];
  for (int64_t k = 0; k < 8; ++k) {
    s[k] = q[k] = F64::set(0);
    if (k >= rows) continue;
    const X* const row = x + k * stride;
    Computing<X> center = 0;
    if constexpr (kShift) c[k] = center = probe(row);
    add_group<R, kShift>(row, n, V::set(center), s[k], q[k]);
  }
  const Sums sums = {totals<Reduction::kMoments>(s), totals<R>(q)};
  put_moments<R>(F64::load(c), sums, n, rows, mean, mean_lo, m2).store(rest);
  sums.q.store(square);
  for (int64_t k = 0; k < rows; ++k) {
    if (trusted<R>(rest[k], square[k], tiny * static_cast<double>(n))) continue;
    const Moments m = reduce_exact<R>(Groups<X>(x + k * stride, nullptr), n);
    mean[k] = m.mean, mean_lo[k] = m.mean_lo, m2[k] = m.m2;
  }
}

template <Reduction R, class X>
void reduce_rows(const void* first, int64_t stride, int64_t rows, int64_t n, double tiny,
                 double* mean, double* mean_lo, double* m2) noexcept {
  const X* x = static_cast<const X*>(first);
  if (n <= kRowDirect) return reduce_short<R>(x, stride, rows, n, mean, mean_lo, m2);
  int64_t r = 0;
  for (; n <= kGroup && rows - r >= 4; r += 8) {
    reduce_eight<R>(x + r * stride, stride, rows - r < 8 ? rows - r : 8, n, tiny, mean + r,
                    mean_lo + r, m2 + r);
  }
  for (; r < rows; ++r) {
    const Moments m = reduce_row<R, X>(x + r * stride, nullptr, n, tiny);
    mean[r] = m.mean, mean_lo[r] = m.mean_lo, m2[r] = m.m2;
  }
}

// ---- columns ----------------------------------------------------------------------------------

template <Reduction R>
void put(double* p, F64 v, int64_t count) {
  if (count >= 8) {
    combine<R>(F64::load(p), v).store(p);
  } else if (count > 0) {
    combine<R>(F64::load(p, count), v).store(p, count);
  }
}

template <Reduction R>
void put(double* p, F32 v, int64_t count) {
  put<R>(p, widen_low(v), count);
  put<R>(p + 8, widen_high(v), count - 8);
}

// Vectors of lanes whose sums the registers hold: five vectors each, and a center.
template <class V>
constexpr int kTogether = V::kRegisters >= 32 ? 4 : 1;

// What is read soon, an address only: it may lie past the array.
uintptr_t address(const void* x, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(x) + static_cast<uintptr_t>(bytes);
}
void fetch(uintptr_t at) {
  constexpr int kSecondCache = 2;  // a block may fill the first
  __builtin_prefetch(reinterpret_cast<const void*>(at), 0, kSecondCache);
}

// `kVectors` vectors of lanes, the last of them whole or not.
template <Reduction R, int kVectors, bool kWhole, bool kShift, bool kFetch, class X>
void add_tile(const X* x, int64_t stride, int64_t lines, int64_t lanes, const Computing<X>* center,
              double* sum, double* square, int64_t ahead) {
  using V = typename Lanes<X>::V;
  constexpr int64_t L = V::kLanes;
  [[maybe_unused]] const uintptr_t next = address(x, ahead);
  const int64_t last = kWhole ? L : lanes - (kVectors - 1) * L;
  const auto lanes_of = [&](int k) { return k + 1 < kVectors ? L : last; };
  const auto load = [&](int k, const auto* p) {
    if (kWhole || k + 1 < kVectors) return V::load(p);
    return V::load(p, last);
  };
  V c[kVectors];
  Accumulator<R, V> a[kVectors];
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) {
    if constexpr (kShift) c[k] = load(k, center + k * L);
    a[k] = Accumulator<R, V>::zero();
  }
  const auto get = [&](int k, int64_t i) {
    const int64_t at = i * stride + k * L;
    if constexpr (kFetch) fetch(next + static_cast<uintptr_t>(at) * sizeof(X));
    const V v = load(k, x + at);
    if constexpr (kShift) return v - c[k];
    return v;
  };
  int64_t i = 0;
  for (; i + 4 <= lines; i += 4) {
#pragma GCC unroll 4  // or the sums are not kept in registers
    for (int k = 0; k < kVectors; ++k)
      a[k].add(get(k, i), get(k, i + 1), get(k, i + 2), get(k, i + 3));
  }
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) {
    if (i < lines) a[k].template add_last<0>(get(k, i));
    if (i + 1 < lines) a[k].template add_last<1>(get(k, i + 1));
    if (i + 2 < lines) a[k].template add_last<2>(get(k, i + 2));
    if constexpr (R == Reduction::kMoments) {
      put<Reduction::kMoments>(sum + k * L, a[k].s, lanes_of(k));
    }
    put<R>(square + k * L, a[k].squares(), lanes_of(k));
  }
}

template <Reduction R, bool kShift, bool kFetch, class X>
void add_tiles(const X* x, int64_t stride, int64_t lines, int64_t lanes, const Computing<X>* center,
               double* sum, double* square, int64_t ahead) {
  using V = typename Lanes<X>::V;
  constexpr int64_t L = V::kLanes;
  constexpr int kMany = kTogether<V>;
  int64_t i = 0;
  const auto add = [&]<int kVectors, bool kWhole>() {
    const auto* c = kShift ? center + i : nullptr;
    add_tile<R, kVectors, kWhole, kShift, kFetch>(x + i, stride, lines, lanes - i, c, sum + i,
                                                  square + i, ahead);
  };
  for (; i + kMany * L <= lanes; i += kMany * L) add.template operator()<kMany, true>();
  if (i == lanes) return;
  if constexpr (kMany == 4) {
    if (lanes - i > 3 * L) return add.template operator()<4, false>();
    if (lanes - i > 2 * L) return add.template operator()<3, false>();
    if (lanes - i > L) return add.template operator()<2, false>();
  }
  add.template operator()<1, false>();
}

// Wide lines from memory, in its order or nearly: as many at a time as processors follow, which
// then fetch ahead by themselves, while the sums wait in a cache.
constexpr int64_t kFollowed = 8;  // lines
// Lanes, from which on this is faster than tiles, of lines that follow one another or do not.
constexpr int64_t kWideDense = 512;
template <class V>
constexpr int64_t kWideApart = kTogether<V> > 1 ? 1024 : 512;
constexpr int64_t kWideLanes = 2048;  // and how many go together

// At most kFollowed lines, while those at `next` are fetched one after another.
template <Reduction R, bool kShift, bool kFirst, class X, class V>
void add_followed(const X* x, int64_t stride, int64_t lines, int64_t lanes,
                  const Computing<X>* center, Accumulator<R, V>* sums, uintptr_t next) {
  constexpr int64_t L = V::kLanes;
  constexpr int64_t kUnit = sizeof(X), kTurn = kFollowed * L * kUnit;  // bytes fetched a turn
  int64_t fetched = 0;
  const auto add = [&](int64_t i, const auto& load) {
    for (int64_t k = 0; k < kTurn; k += 64) fetch(next + static_cast<uintptr_t>(fetched + k));
    fetched += kTurn;
    if (fetched >= lanes * kUnit) fetched = 0, next += static_cast<uintptr_t>(stride * kUnit);
    const V c = kShift ? load(center + i) : V::set(0);
    const auto get = [&](const X* p) {
      if constexpr (kShift) return load(p) - c;
      return load(p);
    };
    auto a = kFirst ? Accumulator<R, V>::zero() : sums[i / L];
    const X* p = x + i;
    if (lines == kFollowed) {
      for (int64_t k = 0; k < kFollowed; k += 4, p += 4 * stride) {
        a.add(get(p), get(p + stride), get(p + 2 * stride), get(p + 3 * stride));
      }
    } else {
      int64_t k = 0;
      for (; k + 4 <= lines; k += 4, p += 4 * stride) {
        a.add(get(p), get(p + stride), get(p + 2 * stride), get(p + 3 * stride));
      }
      if (k < lines) a.template add_last<0>(get(p));
      if (k + 1 < lines) a.template add_last<1>(get(p + stride));
      if (k + 2 < lines) a.template add_last<2>(get(p + 2 * stride));
    }
    sums[i / L] = a;
  };
  int64_t i = 0;
  for (; i + L <= lanes; i += L) add(i, [](const auto* p) { return V::load(p); });
  if (i < lanes) add(i, [&](const auto* p) { return V::load(p, lanes - i); });
}

template <Reduction R, bool kShift, class X>
void add_wide(const X* x, int64_t stride, int64_t lines, int64_t lanes, const Computing<X>* center,
              double* sum, double* square, int64_t ahead) {
  using V = typename Lanes<X>::V;
  constexpr int64_t L = V::kLanes, kUnit = sizeof(X);
  Accumulator<R, V> sums[kWideLanes / L];
  for (int64_t r = 0; r < lines; r += kFollowed) {
    const int64_t left = lines - r;
    const X* const from = x + r * stride;
    const uintptr_t next =
        left > kFollowed ? address(from, kFollowed * stride * kUnit) : address(x, ahead);
    const auto add =
        r == 0 ? add_followed<R, kShift, true, X, V> : add_followed<R, kShift, false, X, V>;
    add(from, stride, left < kFollowed ? left : kFollowed, lanes, center, sums, next);
  }
  for (int64_t i = 0; i < lanes; i += L) {
    const int64_t some = lanes - i < L ? lanes - i : L;
    const Accumulator<R, V>& a = sums[i / L];
    if constexpr (R == Reduction::kMoments) put<Reduction::kMoments>(sum + i, a.s, some);
    put<R>(square + i, a.squares(), some);
  }
}

template <Reduction R, class X>
void add_lines(const void* first, int64_t stride, int64_t lines, int64_t lanes,
               const Computing<X>* center, double* sum, double* square, int64_t ahead) noexcept {
  using V = typename Lanes<X>::V;
  const X* x = static_cast<const X*>(first);
  const int64_t wide = stride == lanes ? kWideDense : kWideApart<V>;
  if (ahead && lanes >= wide && lines > kFollowed) {
    const auto add = center ? add_wide<R, true, X> : add_wide<R, false, X>;
    for (int64_t i = 0; i < lanes; i += kWideLanes) {
      const int64_t some = lanes - i < kWideLanes ? lanes - i : kWideLanes;
      add(x + i, stride, lines, some, center ? center + i : nullptr, sum + i, square + i, ahead);
    }
    return;
  }
  // Short lines, and tiles that follow one another, are read in order: processors fetch such by
  // themselves.
  constexpr int64_t kShortLine = 160 / sizeof(X);
  const bool dense = stride == lanes && lanes <= kTogether<V> * V::kLanes;
  const bool follows = dense || (-kShortLine <= stride && stride <= kShortLine);
  const bool fetches = ahead && !follows;
  const auto add = center    ? fetches ? add_tiles<R, true, true, X> : add_tiles<R, true, false, X>
                   : fetches ? add_tiles<R, false, true, X>
                             : add_tiles<R, false, false, X>;
  add(x, stride, lines, lanes, center, sum, square, ahead);
}

template <Reduction R, class X>
void add_lines_exact(const void* first, int64_t stride, int64_t lines, int64_t lanes,
                     const double* center, double* sum, double* square) noexcept {
  const X* x = static_cast<const X*>(first);
  int64_t i = 0;
  for (; i + 16 <= lanes; i += 16) {
    const Wide c = load_wide(center + i);
    Wide s = load_wide(sum + i), q = load_wide(square + i);
    for (int64_t r = 0; r < lines; ++r) {
      const Wide v = load_wide(x + r * stride + i), d = {v.lo - c.lo, v.hi - c.hi};
      if constexpr (R == Reduction::kMoments) s = {s.lo + d.lo, s.hi + d.hi};
      q = {accumulate<R>(q.lo, d.lo), accumulate<R>(q.hi, d.hi)};
    }
    s.lo.store(sum + i);
    s.hi.store(sum + i + 8);
    q.lo.store(square + i);
    q.hi.store(square + i + 8);
  }
  for (; i < lanes; i += 8) {
    const int64_t m = lanes - i < 8 ? lanes - i : 8;
    const F64 c = F64::load(center + i, m);
    F64 s = F64::load(sum + i, m), q = F64::load(square + i, m);
    for (int64_t r = 0; r < lines; ++r) {
      const F64 d = load_f64(x + r * stride + i, m) - c;
      if constexpr (R == Reduction::kMoments) s = s + d;
      q = accumulate<R>(q, d);
    }
    s.store(sum + i, m);
    q.store(square + i, m);
  }
}

// ---- bytes ------------------------------------------------------------------------------------
//
// Integers, so nothing is centred and no order matters: the squares of a chunk stay below 2^31, the
// sums of an array below 2^53.

template <class X>
void sum_bytes(const X* x, int64_t count, int32_t& sum, int32_t& square) {
  int32_t s = 0, q = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t v = x[i];
    s += v;
    q += v * v;
  }
  sum += s;
  square += q;
}

template <class X>
Moments sum_row(const void* first, const void* const* groups, int64_t n, double) noexcept {
  int32_t s = 0, q = 0;
  if (groups) {
    for (int64_t g = 0; g * kGroup < n; ++g) {
      const int64_t left = n - g * kGroup;
      sum_bytes(static_cast<const X*>(groups[g]), left < kGroup ? left : kGroup, s, q);
    }
  } else {
    sum_bytes(static_cast<const X*>(first), n, s, q);
  }
  return {static_cast<double>(n), static_cast<double>(s), 0, static_cast<double>(q)};
}

// Of `kLanes` lanes, all in sixteen bits: the sums of kByteGroup bytes fit, those of the upper and
// lower halves of their squares as well. The lower are what wraps around less the upper.
template <int kLanes, class X>
void sum_tile(const X* x, int64_t stride, int64_t lines, double* sum, double* square) {
  int16_t s[kLanes] = {};
  uint16_t q[kLanes] = {}, upper[kLanes] = {};
  for (int64_t r = 0; r < lines; ++r) {
    const X* line = x + r * stride;
#pragma GCC unroll 1  // a loop that is unrolled before it is vectorised is neither
    for (int l = 0; l < kLanes; ++l) {
      const int16_t v = line[l];
      const uint16_t both = static_cast<uint16_t>(v * v);
      s[l] = static_cast<int16_t>(s[l] + v);
      q[l] = static_cast<uint16_t>(q[l] + both);
      upper[l] = static_cast<uint16_t>(upper[l] + (both >> 8));
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    const int32_t high = upper[l] << 8;
    sum[l] += s[l];
    square[l] += high + static_cast<uint16_t>(q[l] - high);
  }
}

template <class X>
void sum_rows(const void* first, int64_t stride, int64_t rows, int64_t n, double, double* mean,
              double* mean_lo, double* m2) noexcept {
  for (int64_t r = 0; r < rows; ++r) {
    const Moments m = sum_row<X>(static_cast<const X*>(first) + r * stride, nullptr, n, 0);
    mean[r] = m.mean, mean_lo[r] = 0, m2[r] = m.m2;
  }
}

template <class X>
void sum_lines(const void* first, int64_t stride, int64_t lines, int64_t lanes, const float*,
               double* sum, double* square, int64_t) noexcept {
  const X* x = static_cast<const X*>(first);
  int64_t i = 0;
  for (; i + 32 <= lanes; i += 32) sum_tile<32>(x + i, stride, lines, sum + i, square + i);
  for (; i + 16 <= lanes; i += 16) sum_tile<16>(x + i, stride, lines, sum + i, square + i);
  for (; i + 4 <= lanes; i += 4) sum_tile<4>(x + i, stride, lines, sum + i, square + i);
  for (; i < lanes; ++i) sum_tile<1>(x + i, stride, lines, sum + i, square + i);
}

// ---- weighted ---------------------------------------------------------------------------------
//
// Elements that count by a weight, all in float64: first about one of them, then about their mean.
// What has weight 0 is selected away, so that it may be a NaN.

template <Reduction R>
F64 accumulate_weighted(F64 q, F64 w, F64 d) {
  if constexpr (R == Reduction::kMagnitudes) return fma(w, abs(d), q);
  if constexpr (R == Reduction::kMaximum) return max_magnitude(q, abs(d));
  return fma(w * d, d, q);
}

template <Reduction R>
struct WeightedSums {
  F64 count = F64::set(0), s = count, q = count;

  template <bool kCounts = true, bool kSquares = true>
  void add(F64 x, F64 w, F64 c) {
    const F64 d = where_nonzero(w, x - c);
    if constexpr (kCounts) count = count + w;
    if constexpr (R == Reduction::kMoments) s = fma(w, d, s);
    if constexpr (kSquares) q = accumulate_weighted<R>(q, w, d);
  }
  void store(double* to_count, double* to_s, double* to_q, int64_t lanes) const {
    count.store(to_count, lanes);
    s.store(to_s, lanes);
    q.store(to_q, lanes);
  }
};

template <Reduction R, bool kCounts, bool kSquares, class T>
WeightedSums<R> weighted_sums(const T* x, const double* weight, int64_t n, double c) {
  const F64 center = F64::set(c);
  // Short rows in the order of their elements, as without weights.
  const int64_t step = n < kRowTurned ? 1 : 8;
  WeightedSums<R> sums;
  int64_t i = 0;
  for (; i + 16 <= n && step == 8; i += 16) {
    const Wide v = load_wide(x + i), w = load_wide(weight + i);
    sums.template add<kCounts, kSquares>(v.lo, w.lo, center);
    sums.template add<kCounts, kSquares>(v.hi, w.hi, center);
  }
  for (; i < n; i += step) {
    const int64_t m = n - i < step ? n - i : step;
    sums.template add<kCounts, kSquares>(load_f64(x + i, m), F64::load(weight + i, m), center);
  }
  return sums;
}

template <Reduction R, class T>
Moments reduce_weighted(const T* x, const double* weight, int64_t n) noexcept {
  int64_t first = 0;
  while (first < n && weight[first] == 0) ++first;
  if (first == n) return {0, 0, 0, 0};
  if constexpr (R != Reduction::kMoments) {
    const WeightedSums<R> sums = weighted_sums<R, true, true>(x, weight, n, 0);
    return {sum(sums.count), 0, 0, total<R>(sums.q)};
  }
  double c = static_cast<double>(x[first]);
  const WeightedSums<R> about_first = weighted_sums<R, true, false>(x, weight, n, c);
  const double count = sum(about_first.count);
  c += sum(about_first.s) / count;
  const WeightedSums<R> about_mean = weighted_sums<R, false, true>(x, weight, n, c);
  const double t = sum(about_mean.s) / count;
  return moments_about(count, c, t, total<R>(about_mean.q) - t * t * count);
}

// Weights of 0 and 1, a byte each: the same sums in the same order, so the same bits. Several rows
// at once: each sum waits for itself.
template <Reduction R, bool kSquares, int kRows, class T>
void sum_selected(const T* x, int64_t stride, const uint8_t* selected, int64_t selected_stride,
                  int64_t n, const double* centers, double* sum_of, double* square_of) {
  F64 c[kRows], s[kRows], q[kRows];
  for (int k = 0; k < kRows; ++k) c[k] = F64::set(centers[k]), s[k] = q[k] = F64::set(0);
  const auto add = [&](int k, F64 d) {
    if constexpr (R == Reduction::kMoments) s[k] = s[k] + d;
    if constexpr (kSquares) q[k] = accumulate<R>(q[k], d);
  };
  const int64_t step = n < kRowTurned ? 1 : 8;
  int64_t i = 0;
  for (; i + 16 <= n && step == 8; i += 16) {
#pragma GCC unroll 4
    for (int k = 0; k < kRows; ++k) {
      const Wide v = load_wide(x + k * stride + i);
      const uint8_t* const by = selected + k * selected_stride + i;
      add(k, where_selected(by, v.lo - c[k]));
      add(k, where_selected(by + 8, v.hi - c[k]));
    }
  }
  for (; i < n; i += step) {
    const int64_t m = n - i < step ? n - i : step;
    for (int k = 0; k < kRows; ++k) {
      const F64 d = load_f64(x + k * stride + i, m) - c[k];
      add(k, where_selected(selected + k * selected_stride + i, d, m));
    }
  }
  for (int k = 0; k < kRows; ++k) {
    if constexpr (R == Reduction::kMoments) sum_of[k] = sum(s[k]);
    if constexpr (kSquares) square_of[k] = total<R>(q[k]);
  }
}

int64_t count_selected(const uint8_t* selected, int64_t n) {
  constexpr int64_t kBlock = 128;  // whose number is a byte
  int64_t count = 0;
  for (int64_t b = 0; b < n; b += kBlock) {
    const int64_t m = n - b < kBlock ? n - b : kBlock;
    uint8_t some = 0;
    for (int64_t i = b; i < b + m; ++i) some += selected[i] != 0 ? 1 : 0;
    count += some;
  }
  return count;
}

template <Reduction R, int kRows, class T>
void reduce_selected_rows(const T* x, int64_t stride, const uint8_t* selected,
                          int64_t selected_stride, int64_t n, double* number, double* mean,
                          double* mean_lo, double* m2) {
  double c[kRows], s[kRows] = {}, q[kRows];
  for (int k = 0; k < kRows; ++k) {
    const uint8_t* const by = selected + k * selected_stride;
    int64_t first = 0;
    while (first < n && by[first] == 0) ++first;
    number[k] = static_cast<double>(count_selected(by, n));
    c[k] = R == Reduction::kMoments && first < n ? static_cast<double>(x[k * stride + first]) : 0;
  }
  const auto add = [&](auto squares) {
    sum_selected<R, decltype(squares)::value, kRows>(x, stride, selected, selected_stride, n, c, s,
                                                     q);
  };
  if constexpr (R == Reduction::kMoments) {
    add(std::false_type());
    for (int k = 0; k < kRows; ++k) c[k] = number[k] > 0 ? c[k] + s[k] / number[k] : 0;
  }
  add(std::true_type());
  for (int k = 0; k < kRows; ++k) {
    const double t = number[k] > 0 ? s[k] / number[k] : 0;
    const Moments m = moments_about(number[k], c[k], t, q[k] - t * t * number[k]);
    mean[k] = m.mean, mean_lo[k] = m.mean_lo, m2[k] = m.m2;
  }
}

template <Reduction R, class T>
void reduce_selected(const T* x, int64_t stride, const uint8_t* selected, int64_t selected_stride,
                     int64_t rows, int64_t n, double* number, double* mean, double* mean_lo,
                     double* m2) noexcept {
  constexpr int kAtOnce = 4;
  int64_t r = 0;
  const auto reduce = [&]<int kRows>() {
    reduce_selected_rows<R, kRows>(x + r * stride, stride, selected + r * selected_stride,
                                   selected_stride, n, number + r, mean + r, mean_lo + r, m2 + r);
    r += kRows;
  };
  while (r + kAtOnce <= rows) reduce.template operator()<kAtOnce>();
  while (r < rows) reduce.template operator()<1>();
}

template <Reduction R, class T>
void add_lines_weighted(const T* x, const double* weight, int64_t stride, int64_t lines,
                        int64_t lanes, const double* center, double* count, double* sum,
                        double* square) noexcept {
  int64_t i = 0;
  for (; i + 16 <= lanes; i += 16) {
    const Wide c = load_wide(center + i), n = load_wide(count + i), s = load_wide(sum + i),
               q = load_wide(square + i);
    WeightedSums<R> lo = {n.lo, s.lo, q.lo}, hi = {n.hi, s.hi, q.hi};
    for (int64_t r = 0; r < lines; ++r) {
      const int64_t at = r * stride + i;
      const Wide v = load_wide(x + at), w = load_wide(weight + at);
      lo.add(v.lo, w.lo, c.lo);
      hi.add(v.hi, w.hi, c.hi);
    }
    lo.store(count + i, sum + i, square + i, 8);
    hi.store(count + i + 8, sum + i + 8, square + i + 8, 8);
  }
  for (; i < lanes; i += 8) {
    const int64_t m = lanes - i < 8 ? lanes - i : 8;
    const F64 c = F64::load(center + i, m);
    WeightedSums<R> sums = {F64::load(count + i, m), F64::load(sum + i, m),
                            F64::load(square + i, m)};
    for (int64_t r = 0; r < lines; ++r) {
      const int64_t at = r * stride + i;
      sums.add(load_f64(x + at, m), F64::load(weight + at, m), c);
    }
    sums.store(count + i, sum + i, square + i, m);
  }
}

}  // namespace
}  // namespace normfast
