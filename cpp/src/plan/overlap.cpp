// Two strided arrays share a byte where
//
//     a0 + sum_i |stride_i| x_i + u  =  b0 + sum_j |stride_j| y_j + v
//
// has a solution in integers, each index within its dimension, u and v within an element. With
// every y and v counted from its end this is one bounded linear equation with positive
// coefficients. It is searched from the largest coefficient down; what the smaller ones can still
// reach, and their greatest common divisor, prune the search.

#include "plan/overlap.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace normfast {
namespace {

struct Term {
  int64_t coefficient, bound;
};

struct Equation {
  int n = 0;
  Term terms[2 * kMaxDims + 2];
  int64_t reach[2 * kMaxDims + 3];    // the largest sum of terms k and after
  int64_t divisor[2 * kMaxDims + 3];  // their greatest common divisor
  int budget = 20000;

  void push(int64_t coefficient, int64_t bound) {
    if (coefficient == 0 || bound == 0) return;
    for (int k = 0; k < n; ++k) {
      if (terms[k].coefficient == coefficient) {
        terms[k].bound += bound;
        return;
      }
    }
    terms[n++] = {coefficient, bound};
  }

  bool solvable(int64_t target) {
    std::sort(terms, terms + n,
              [](const Term& p, const Term& q) { return p.coefficient > q.coefficient; });
    reach[n] = divisor[n] = 0;
    for (int k = n - 1; k >= 0; --k) {
      reach[k] = reach[k + 1] + terms[k].coefficient * terms[k].bound;
      divisor[k] = std::gcd(divisor[k + 1], terms[k].coefficient);
    }
    return search(0, target);
  }

 private:
  bool search(int k, int64_t target) {
    if (target == 0) return true;
    if (target < 0 || target > reach[k] || target % divisor[k] != 0) return false;
    if (--budget < 0) return true;
    const auto [coefficient, bound] = terms[k];
    const int64_t most = std::min(bound, target / coefficient);
    const int64_t short_by = target - reach[k + 1];
    const int64_t least = short_by <= 0 ? 0 : (short_by + coefficient - 1) / coefficient;
    for (int64_t x = most; x >= least; --x) {
      if (search(k + 1, target - x * coefficient)) return true;
    }
    return false;
  }
};

struct Extent {
  int64_t begin, end;  // bytes
};

Extent extent(const View& a) {
  Extent e = {reinterpret_cast<int64_t>(a.data), reinterpret_cast<int64_t>(a.data)};
  for (int i = 0; i < a.ndim; ++i) {
    (a.strides[i] < 0 ? e.begin : e.end) += a.strides[i] * (a.shape[i] - 1);
  }
  e.end += size_of(a.dtype);
  return e;
}

}  // namespace

bool overlap(const View& a, const View& b) {
  if (a.size() == 0 || b.size() == 0) return false;
  const Extent p = extent(a), q = extent(b);
  if (p.end <= q.begin || q.end <= p.begin) return false;
  Equation equation;
  for (int i = 0; i < a.ndim; ++i) equation.push(std::abs(a.strides[i]), a.shape[i] - 1);
  for (int i = 0; i < b.ndim; ++i) equation.push(std::abs(b.strides[i]), b.shape[i] - 1);
  equation.push(1, size_of(a.dtype) - 1);
  equation.push(1, size_of(b.dtype) - 1);
  return equation.solvable(q.end - 1 - p.begin);
}

bool overlaps_itself(const View& a) {
  if (a.size() <= 1) return false;
  int order[kMaxDims];
  int n = 0;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] > 1) order[n++] = i;
  }
  std::sort(order, order + n,
            [&](int p, int q) { return std::abs(a.strides[p]) < std::abs(a.strides[q]); });
  int64_t inner = size_of(a.dtype);
  for (int k = 0; k < n; ++k) {
    const int64_t stride = std::abs(a.strides[order[k]]);
    if (stride < inner) return true;
    inner += stride * (a.shape[order[k]] - 1);
  }
  return false;
}

}  // namespace normfast
