#include "plan/plan.hpp"

#include <cstdlib>
#include <limits>
#include <numeric>

namespace normfast {
namespace {

// Broadcast dimensions (stride 0) go outside: nothing is gained by walking them first.
int64_t distance(const Dim& dim) {
  const int64_t step = dim.step[kX];
  return step == 0 ? std::numeric_limits<int64_t>::max() : std::abs(step);
}

}  // namespace

int memory_order(const Layout& layout, int* order) {
  int n = 0;
  for (int i = 0; i < layout.ndim; ++i) {
    if (layout.dims[i].size != 1) order[n++] = i;
  }
  // A stable sort of a handful (std::stable_sort would allocate).
  for (int i = 1; i < n; ++i) {
    const int dim = order[i];
    int k = i;
    for (; k > 0 && distance(layout.dims[order[k - 1]]) < distance(layout.dims[dim]); --k) {
      order[k] = order[k - 1];
    }
    order[k] = dim;
  }
  return n;
}

void make_plan(const Layout& layout, Plan& plan) {
  int order[kMaxDims + 1];
  const int n = memory_order(layout, order);
  const auto reduced = [&](int i) { return layout.reduced[order[i]]; };
  const auto size = [&](int begin, int end) {
    return std::accumulate(order + begin, order + end, int64_t{1},
                           [&](int64_t s, int i) { return s * layout.dims[i].size; });
  };
  // The outermost dimension of the block of one kind that ends before `end`.
  const auto block = [&](int end) {
    int begin = end - 1;
    while (begin > 0 && reduced(begin - 1) == reduced(end - 1)) --begin;
    return begin;
  };

  int lanes = n;  // from this dimension on they are lanes
  int row = 0;    // and what is reduced before this one is walked by units
  if (n > 0) {
    const int tail = block(n);
    const int before = tail > 0 ? block(tail) : 0;
    if (!reduced(n - 1)) {
      plan.form = Form::kColumns;
      lanes = tail;
    } else if (before > 0 && size(tail, n) < kFold) {
      plan.form = Form::kColumns;
      plan.fold = size(tail, n);
      lanes = before;
    } else if (layout.given) {
      row = tail;
    }
  }
  for (int i = 0; i < n; ++i) {
    const Dim& dim = layout.dims[order[i]];
    if (i < row) {
      plan.units.push(dim);
    } else if (reduced(i)) {
      plan.sequence.push(dim, kX + 1);
      plan.apply.push(dim);
    } else if (i < lanes) {
      plan.units.push(dim);
    }
    if (i >= lanes) {
      plan.lanes.push(dim);
      plan.strip.push(dim, kSum + 1);
    } else if (reduced(i) && plan.form == Form::kColumns) {
      plan.lines.push(dim);
    }
  }
  if (plan.form == Form::kColumns && plan.fold == 1 && plan.lanes.size() < kStackBelow &&
      plan.lines.size() >= kStackLines) {
    plan.stack = kStack;
  }
}

}  // namespace normfast
