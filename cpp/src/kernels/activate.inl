// Activations without libm, so that every ISA gives the same bits: exponentials by a power of two
// and a polynomial, the normal distribution by the complementary error function. Within 3e-7
// (float64: 1e-13) x max(1, |y|).

namespace normfast {
namespace {

// Inlined by force: a call passes vectors through memory, and several cannot overlap.
template <class V, int N>
[[gnu::always_inline]] inline V polynomial(V x, const typename V::Element (&c)[N]) {
  V p = V::set(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) p = fma(p, x, V::set(c[i]));
  return p;
}

// What differs between the two precisions. kErfc is log(erfc(z) * e^(z*z) / t) as a polynomial in
// the t = 2 / (2 + z) of z in [0, kFar], t mapped to [-1, 1]; fitted by Chebyshev interpolation.
template <class V>
struct Constants;

template <>
struct Constants<F32> {
  static constexpr float kRound = 0x1.8p23f;  // adding it leaves an integer in the low bits
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLeast = -87, kMost = 88;
  static constexpr float kExp[8] = {1,        1,         1.f / 2,   1.f / 6,
                                    1.f / 24, 1.f / 120, 1.f / 720, 1.f / 5040};
  static constexpr float kSilu = -88, kGelu = -14, kGeluTanh = -10, kFar = 10;
  static constexpr float kErfc[10] = {-0.558595398368f,   0.570307102977f,     0.0157473060808f,
                                      -0.029470336858f,   -0.00106340790507f,  0.00370747674032f,
                                      -0.00022596416182f, -0.000534320610446f, 7.27287901435e-5f,
                                      5.48602468201e-5f};
};

template <>
struct Constants<F64> {
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLn2High = 0x1.62e42fefap-1, kLn2Low = 0x1.cf79abc9e3b39p-40;
  static constexpr double kLeast = -708, kMost = 709;
  static constexpr double kExp[14] = {1,
                                      1,
                                      1. / 2,
                                      1. / 6,
                                      1. / 24,
                                      1. / 120,
                                      1. / 720,
                                      1. / 5040,
                                      1. / 40320,
                                      1. / 362880,
                                      1. / 3628800,
                                      1. / 39916800,
                                      1. / 479001600,
                                      1. / 6227020800};
  static constexpr double kSilu = -700, kGelu = -39, kGeluTanh = -21, kFar = 28;
  static constexpr double kErfc[23] = {
      -0.6267548660108482411,    0.6330982682940268762,      0.0328648593573759646,
      -0.03994232441761177029,   -0.005189062823181073041,   0.006592903698719829811,
      0.0004377994268725222142,  -0.001431603332428300405,   0.0001332684715699121191,
      0.0003082801180515566179,  -0.00009958084074690452941, -0.00005121416035130194386,
      0.00003803259377333572169, 2.008991192285540173e-6,    -9.984205855507698386e-6,
      2.573663614015296762e-6,   1.613567648356533039e-6,    -1.113214291963828032e-6,
      -3.41755320794700727e-8,   2.412971709226901553e-7,    -5.106497194110656519e-8,
      -2.421034145975429108e-8,  8.976144829243838075e-9};
};

// e^x = 2^k * e^r, k the integer nearest x / ln 2. NaN stays NaN; beyond the ends of the range, the
// values there.
template <class V>
[[gnu::always_inline]] inline V exponential(V x) {
  using C = Constants<V>;
  x = smaller(V::set(C::kMost), larger(V::set(C::kLeast), x));
  const V t = fma(x, V::set(1.44269504088896340736), V::set(C::kRound));
  const V k = t - V::set(C::kRound);
  const V r = fma(k, V::set(-C::kLn2Low), fma(k, V::set(-C::kLn2High), x));
  return times_power_of_two(polynomial(r, C::kExp), t);
}

template <class V>
[[gnu::always_inline]] inline V sigmoid_of(V x, V times) {
  return times / (V::set(1) + exponential(V::set(0) - x));
}

// Far on the negative side the product of x and what is nearly 0 is 0 also where x is -inf.
template <Activation A, class V>
[[gnu::always_inline]] inline V activate(V x) {
  using C = Constants<V>;
  if constexpr (A == Activation::kRelu) return larger(V::set(0), x);
  if constexpr (A == Activation::kSilu) {
    x = larger(V::set(C::kSilu), x);
    return sigmoid_of(x, x);
  }
  if constexpr (A == Activation::kGeluTanh) {
    // 0.5 * (1 + tanh u) is the sigmoid of 2u; u = sqrt(2 / pi) * (x + 0.044715 x^3).
    x = larger(V::set(C::kGeluTanh), x);
    const V cubic = fma(x * x, V::set(0.044715), V::set(1));
    return sigmoid_of(x * V::set(1.59576912160573071176) * cubic, x);
  }
  if constexpr (A == Activation::kGelu) {
    // x * Phi(x), Phi(x) = erfc(-x / sqrt 2) / 2; of the two tails the smaller is computed.
    x = larger(V::set(C::kGelu), x);
    const V z = smaller(V::set(C::kFar), abs(x) * V::set(0.70710678118654752440));
    const V t = V::set(2) / (z + V::set(2));
    const V width = V::set(2 * (C::kFar + 2) / C::kFar);
    const V s = fma(t, width, V::set(-(C::kFar + 4) / C::kFar));
    const V half = V::set(0.5) * t * exponential(polynomial(s, C::kErfc) - z * z);
    return x * where_negative(x, half, V::set(1) - half);
  }
  return x;
}

template <bool kStream, Activation A, class T>
void map_activation(const T* x, const T* addend, T* y, int64_t count, int64_t ahead) {
  using V = typename Lanes<T>::V;
  // The long ones are one vector's work at a time: the processor overlaps them as it is.
  constexpr int U = A == Activation::kNone || A == Activation::kRelu ? kStep<T, 1> : 1;
  const Runs<T, 1> runs = {x, 0, y, 0};
  Joint<V, T> joint;  // continued by nothing: a piece ends where a line does
  if (addend) {
    run<kStream, V, U>(runs, count, Reading{ahead}, joint,
                       [&](V(&v)[1], auto at) { v[0] = activate<A>(v[0] + at(addend)); });
  } else {
    run<kStream, V, U>(runs, count, Reading{ahead}, joint,
                       [](V(&v)[1], auto) { v[0] = activate<A>(v[0]); });
  }
  joint.leave();
}

template <Activation A, class T>
void activate_run(const T* x, const T* addend, T* y, int64_t count) noexcept {
  map_activation<false, A>(x, addend, y, count, 0);
}

// The way from one address to another, of which nothing is read or written.
int64_t way(const void* from, const void* to) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from));
}

template <Activation A, class T>
void stream_activation(const T* x, T* y, int64_t count, const void* next) noexcept {
  map_activation<true, A, T>(x, nullptr, y, count, way(x, next));
}

}  // namespace
}  // namespace normfast
