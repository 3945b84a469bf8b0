// Many statistics at once, each step a loop over arrays, so that roots, divisions and roundings are
// vectorised and those of one statistic need not wait for another's.
#pragma once

#include "run/sequence.inl"

namespace normfast {

// StatisticArrays side by side, wherever they lie. Where pre is null it is 1; mean_lo, 0.
struct StatisticArrays {
  const double* pre = nullptr;
  const double* mean = nullptr;
  const double* mean_lo = nullptr;
  const double* rstd = nullptr;

  Statistic operator[](int64_t i) const {
    return {pre ? pre[i] : 1, mean[i], mean_lo ? mean_lo[i] : 0, rstd[i]};
  }
};

template <int N>
struct Found {
  double pre[N], mean[N], mean_lo[N], rstd[N];

  StatisticArrays arrays() const { return {pre, mean, mean_lo, rstd}; }
  Statistic operator[](int64_t i) const { return arrays()[i]; }
  void set(int64_t i, const Statistic& s) {
    pre[i] = s.pre, mean[i] = s.mean, mean_lo[i] = s.mean_lo, rstd[i] = s.rstd;
  }
};

// Reports of n statistics of one count each, none of them scaled. store(to, values) puts value i
// where `to` has statistic i.
template <class T, int N, class Store>
void report(const Work& work, const Kernels<T>& kernels, const Parts& total, int64_t n,
            const Found<N>& found, Store store) {
  if (work.count) store(work.count, total.count());
  if (work.mean) store(work.mean, total.mean());
  if (work.m2) store(work.m2, total.m2());
  if (!work.scale) return;
  if (work.rule.report == Report::kReciprocal) return store(work.scale, found.rstd);
  Rule asked = work.rule;
  asked.eps = 0;
  Divider by = divider(asked, total.count()[0], 1);
  by.root = by.root && asked.report != Report::kVariance;
  double divisor[N], reciprocal[N];
  kernels.divide(total.m2(), n, by, divisor, reciprocal);
  store(work.scale, divisor);
}

// What each of n statistics, none of them scaled, is multiplied by: of one count, or of weights,
// each of its own. Of nothing it is 1.
template <int N, class T>
void divide(const Work& work, const Kernels<T>& kernels, const Parts& total, int64_t n,
            double* rstd) {
  const double *m2 = total.m2(), *count = total.count();
  Divider by = divider(work.rule, count[0], 1);
  double divisor[N];
  if (!work.weighted()) return kernels.divide(m2, n, by, divisor, rstd);
  double mean_square[N] = {};
  by.per = 1;
  for (int64_t i = 0; i < n; ++i) mean_square[i] = m2[i] / number(work.rule, count[i]);
  kernels.divide(mean_square, n, by, divisor, rstd);
  for (int64_t i = 0; i < n; ++i) rstd[i] = count[i] == 0 ? 1 : rstd[i];
}

// What was merged becomes n statistics; for_each(body) calls body(i, offsets) for each of them.
template <class T, int N, class ForEach, class Store>
void find(const Work& work, const Kernels<T>& kernels, const Sequence<T>& sequence,
          const Parts& total, int64_t n, Found<N>& found, ForEach for_each, Store store) {
  // What is reported without them is a variance or a divisor.
  const bool divides = work.scale && work.rule.report == Report::kReciprocal;
  const bool together = work.alike() || (work.weighted() && (divides || !work.scale));
  std::fill_n(found.pre, n, 1.0);
  bool each = !together;
  if (together && (work.y || divides)) {
    std::copy_n(total.mean(), n, found.mean);
    std::copy_n(total.mean_lo(), n, found.mean_lo);
    divide<N>(work, kernels, total, n, found.rstd);
  }
  for (int64_t i = 0; i < n && together; ++i) each |= sequence.out_of_range(total[i]);
  if (!each) return report(work, kernels, total, n, found, store);
  for_each([&](int64_t i, const Offsets& at) {
    const Moments m = total[i];
    if (together && !sequence.out_of_range(m)) {
      sequence.report(at, m, found[i]);
    } else {
      found.set(i, sequence.finish(at, m));
    }
  });
}

template <class T, int N, class ForEach>
void find(const Work& work, const Kernels<T>& kernels, const Sequence<T>& sequence,
          const Parts& total, int64_t n, Found<N>& found, ForEach for_each) {
  find(work, kernels, sequence, total, n, found, for_each, [&](double* to, const double* values) {
    for_each([&](int64_t i, const Offsets& at) { to[at[kStatistic]] = values[i]; });
  });
}

}  // namespace normfast
