// Fills the probe of one ISA. The including file has chosen the vector.
#include "probe.hpp"

namespace normfast::test {
namespace {

template <class V>
constexpr auto lanes_of() {
  using T = typename V::Element;
  return LaneProbe<T>{
      V::kLanes,
      [](T value, T* r) { V::set(value).store(r); },
      [](const T* a, T* r) { in_register(V::load(a)).store(r); },
      [](const T* a, T* r) {
        V::load(a).stream(r);
        fence();
      },
      [](const T* from, int64_t count, T* r) { V::load(from, count).store(r); },
      [](const T* a, T* to, int64_t count) { V::load(a).store(to, count); },
      [](const T* from, int64_t first, int64_t last, T* r) { V::load(from, first, last).store(r); },
      [](const T* a, T* to, int64_t first, int64_t last) { V::load(a).store(to, first, last); },
      [](const T* a, const T* b, int64_t count, T* r) {
        join(V::load(a), V::load(b), count).store(r);
      },
      [](const T* a, int64_t count, T* r) { keep(V::load(a), count).store(r); },
      [](const T* a, const T* b, T* r) { (V::load(a) + V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { (V::load(a) - V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { (V::load(a) * V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { (V::load(a) / V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { max_magnitude(V::load(a), V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { larger(V::load(a), V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { smaller(V::load(a), V::load(b)).store(r); },
      [](const T* a, const T* b, T* r) { times_power_of_two(V::load(a), V::load(b)).store(r); },
      [](const T* a, const T* b, const T* c, T* r) {
        fma(V::load(a), V::load(b), V::load(c)).store(r);
      },
      [](const T* by, const T* a, const T* b, T* r) {
        where_negative(V::load(by), V::load(a), V::load(b)).store(r);
      },
      [](const T* a, T* r) { abs(V::load(a)).store(r); }};
}

template <class H>
constexpr HalfProbe<H> halves_of() {
  return {[](const H* from, float* r) { F32::load(from).store(r); },
          [](const H* from, int64_t count, float* r) { F32::load(from, count).store(r); },
          [](const float* a, H* to) { F32::load(a).store(to); },
          [](const float* a, H* to, int64_t count) { F32::load(a).store(to, count); },
          [](const H* from, int64_t first, int64_t last, float* r) {
            F32::load(from, first, last).store(r);
          },
          [](const float* a, H* to, int64_t first, int64_t last) {
            F32::load(a).store(to, first, last);
          },
          [](const float* a, H* to) { F32::store(to, F32::load(a), F32::load(a + 16)); },
          [](const float* a, H* to) {
            F32::stream(to, F32::load(a), F32::load(a + 16));
            fence();
          }};
}

constexpr Probe probe_of(const char* isa) {
  return {isa,
          lanes_of<F32>(),
          lanes_of<F64>(),
          halves_of<Half>(),
          halves_of<BFloat16>(),
          {[](const uint8_t* from, float* r) { F32::load(from).store(r); },
           [](const uint8_t* from, int64_t count, float* r) { F32::load(from, count).store(r); },
           [](const uint8_t* from, int64_t first, int64_t last, float* r) {
             F32::load(from, first, last).store(r);
           }},
          [](const float* a, double* r) { widen_low(F32::load(a)).store(r); },
          [](const float* a, double* r) { widen_high(F32::load(a)).store(r); },
          [](const float* a, double* r) { fold(F32::load(a)).store(r); },
          [](const float* a, double* r) { load_f64(a).store(r); },
          [](const double* by, const double* a, double* r) {
            where_nonzero(F64::load(by), F64::load(a)).store(r);
          },
          [](const uint8_t* by, const double* a, double* r) {
            where_selected(by, F64::load(a)).store(r);
          },
          [](const uint8_t* by, const double* a, int64_t count, double* r) {
            where_selected(by, F64::load(a), count).store(r);
          },
          [](const double* a) { return sum(F64::load(a)); },
          [](const double* a, double* r) {
            F64 v[8];
            for (int i = 0; i < 8; ++i) v[i] = F64::load(a + 8 * i);
            sums(v).store(r);
          }};
}

}  // namespace
}  // namespace normfast::test
