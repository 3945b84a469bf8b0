#include "api/problem.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "dispatch/dispatch.hpp"
#include "parallel/parallel.hpp"
#include "plan/overlap.hpp"
#include "run/stage.hpp"

namespace normfast {
namespace {

// Elements a thread must have to be worth starting.
constexpr int64_t kElementsPerThread = 64 * 1024;

const char* name_of(DType t) {
  switch (t) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    default:
      return "int64";
  }
}

double read_float(const View& v, const char* p) {
  return v.dtype == DType::kFloat32 ? static_cast<double>(read<float>(p)) : read<double>(p);
}

// A loop of its own where elements are neighbours, so that it is vectorised.
template <class T>
void read_run(const char* p, int64_t step, int64_t count, double* to) {
  if (step == static_cast<int64_t>(sizeof(T))) {
    for (int64_t k = 0; k < count; ++k) to[k] = static_cast<double>(read<T>(p + k * sizeof(T)));
  } else {
    for (int64_t k = 0; k < count; ++k) to[k] = static_cast<double>(read<T>(p + k * step));
  }
}

bool same_array(const View& a, const View& b) {
  if (a.data != b.data || a.dtype != b.dtype || a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i] || (a.shape[i] > 1 && a.strides[i] != b.strides[i])) return false;
  }
  return true;
}

}  // namespace

AxisList axes_of(Axes set, int ndim) {
  AxisList list;
  for (int i = 0; i < ndim; ++i) {
    if (set & axis(i)) list.push(i);
  }
  return list;
}

Axes all_axes(int ndim) { return ndim >= 32 ? ~Axes{0} : axis(ndim) - 1; }

std::string shape_text(const int64_t* shape, int n) {
  std::string text = "(";
  for (int i = 0; i < n; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (n == 1 ? ",)" : ")");
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::vector<double> reciprocals(std::vector<double> values, double plus, bool root) {
  constexpr int64_t kBlock = 512;
  double divisors[kBlock], result[kBlock];
  const int64_t size = static_cast<int64_t>(values.size());
  for (int64_t i = 0; i < size; i += kBlock) {
    const int64_t n = std::min(kBlock, size - i);
    kernels().f64.divide(values.data() + i, n, {1, plus, 0, root}, divisors, result);
    std::copy_n(result, n, values.data() + i);
  }
  return values;
}

std::string describe(const View& a) {
  return "shape " + shape_text(a.shape, a.ndim) + " " + name_of(a.dtype);
}

void need_two_axes(const char* operation, const View& x) {
  if (x.ndim >= 2) return;
  throw ValueError(std::string(operation) + ": x has " + std::to_string(x.ndim) +
                   " dimensions, expected at least 2");
}

Problem::Problem(const char* operation, const View& x, Axes reduced, const Common& common)
    : operation_(operation), x_(x), common_(common), reduced_(reduced & all_axes(x.ndim)) {
  if (!x.given()) fail("x is missing");
  if (x.dtype != DType::kFloat32 && x.dtype != DType::kFloat64) {
    fail_type(std::string("x is ") + name_of(x.dtype) + ", expected float32 or float64");
  }
  work_.mean = common.statistics.mean;
  work_.scale = common.statistics.scale;
  if (common.out.given()) check_output();
}

void Problem::fail(const std::string& what) const {
  throw ValueError(std::string(operation_) + ": " + what);
}

void Problem::fail_type(const std::string& what) const {
  throw TypeError(std::string(operation_) + ": " + what);
}

void Problem::check_output() {
  const View& out = common_.out;
  if (out.dtype != x_.dtype) {
    fail_type(std::string("out is ") + name_of(out.dtype) + ", expected " + name_of(x_.dtype));
  }
  if (out.ndim != x_.ndim || !std::equal(out.shape, out.shape + out.ndim, x_.shape)) {
    fail("out has shape " + shape_text(out.shape, out.ndim) + ", expected " +
         shape_text(x_.shape, x_.ndim));
  }
  if (!out.writable) fail("out is read-only");
  if (overlaps_itself(out)) fail("out has elements that share memory");
  if (!same_array(x_, out) && overlap(x_, out)) {
    fail("out overlaps x; it must be x itself or disjoint memory");
  }
  written_[num_written_++] = {"out", &out};
}

void Problem::check_apart(const char* name, const View& view) const {
  for (int i = 0; i < num_written_; ++i) {
    if (overlap(view, *written_[i].view)) fail(std::string(name) + " overlaps " + written_[i].name);
  }
}

void Problem::check_read(const char* name, const View& view) {
  check_apart(name, view);
  read_[num_read_++] = {name, &view};
}

void Problem::check_updated(const char* name, const View& view) {
  if (!view.writable) fail(std::string(name) + " is read-only");
  if (overlaps_itself(view)) fail(std::string(name) + " has elements that share memory");
  check_apart(name, view);
  for (int i = 0; i < num_read_; ++i) {
    if (overlap(view, *read_[i].view)) fail(std::string(name) + " overlaps " + read_[i].name);
  }
  if (overlap(view, x_)) fail(std::string(name) + " overlaps x");
  written_[num_written_++] = {name, &view};
}

void Problem::check_eps(double eps) const {
  if (!(eps >= 0) || std::isinf(eps)) {
    fail("eps is " + number_text(eps) + ", expected a finite number that is not negative");
  }
}

void Problem::check_parameter(const char* name, const View& view, const AxisList& axes) const {
  if (view.dtype == DType::kInt64) {
    fail_type(std::string(name) + " is int64, expected float32 or float64");
  }
  int64_t expected[kMaxDims];
  bool same = view.ndim == axes.n;
  for (int k = 0; k < axes.n; ++k) {
    expected[k] = x_.shape[axes.axis[k]];
    same = same && view.shape[k] == expected[k];
  }
  if (!same) {
    fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) + ", expected " +
         shape_text(expected, axes.n));
  }
}

void Problem::split(int axis, int64_t groups) {
  split_axis_ = axis;
  groups_ = groups;
}

// Steps are by the axes of x. The computing type is x's: what is of another, or not aligned, is
// converted; parameters are small.
void Problem::place(Parameter& p, const View& view, const int64_t* steps) {
  p.data = static_cast<const char*>(view.data);
  std::copy_n(steps, x_.ndim, p.step);
  const int64_t unit = size_of(x_.dtype);
  bool fits = view.dtype == x_.dtype && reinterpret_cast<std::uintptr_t>(p.data) % unit == 0;
  for (int i = 0; i < view.ndim; ++i) fits &= view.shape[i] == 1 || view.strides[i] % unit == 0;
  if (fits || view.size() == 0) return;

  Nest nest;
  int64_t shape[kMaxDims], packed[kMaxDims];
  int64_t step = unit;
  for (int i = x_.ndim - 1; i >= 0; --i) {
    shape[i] = steps[i] == 0 ? 1 : x_.shape[i];
    packed[i] = steps[i] == 0 ? 0 : step;
    step *= shape[i];
  }
  for (int i = 0; i < x_.ndim; ++i) {
    Dim dim = {shape[i], Offsets::zero()};
    dim.step.at[kX] = steps[i];
    if (shape[i] != 1) nest.push(dim);
  }
  p.copy.reset(new double[static_cast<std::size_t>(nest.size())]);
  char* to = reinterpret_cast<char*>(p.copy.get());
  for_runs(nest, 0, nest.size(), [&](int64_t i, const Offsets& at, int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      const double value = read_float(view, p.data + at[kX] + k * nest.inner_step(kX));
      if (x_.dtype == DType::kFloat32) {
        const float narrow = static_cast<float>(value);
        std::memcpy(to + (i + k) * unit, &narrow, sizeof narrow);
      } else {
        std::memcpy(to + (i + k) * unit, &value, sizeof value);
      }
    }
  });
  p.data = to;
  std::copy_n(packed, x_.ndim, p.step);
}

void Problem::place_along(Parameter& p, const char* name, const View& view, const AxisList& axes) {
  check_parameter(name, view, axes);
  check_read(name, view);
  int64_t steps[kMaxDims] = {};
  for (int k = 0; k < axes.n; ++k) {
    if (view.shape[k] != 1) steps[axes.axis[k]] = view.strides[k];
  }
  place(p, view, steps);
}

void Problem::place_broadcast(Parameter& p, const char* name, const View& view) {
  if (view.dtype == DType::kInt64) {
    fail_type(std::string(name) + " is int64, expected float32 or float64");
  }
  check_read(name, view);
  int64_t steps[kMaxDims] = {};
  for (int i = 0; i < x_.ndim; ++i) {
    if (view.shape[i] != x_.shape[i] && view.shape[i] != 1) {
      fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) +
           ", which does not broadcast to x's " + shape_text(x_.shape, x_.ndim));
    }
    if (view.shape[i] != 1) steps[i] = view.strides[i];
  }
  place(p, view, steps);
}

void Problem::weight(const char* name, const View& view, const AxisList& axes) {
  if (view.given()) place_along(weight_, name, view, axes);
}

void Problem::bias(const char* name, const View& view, const AxisList& axes) {
  if (view.given()) place_along(bias_, name, view, axes);
}

void Problem::broadcast_weight(const char* name, const View& view) {
  place_broadcast(weight_, name, view);
}

void Problem::broadcast_bias(const char* name, const View& view) {
  place_broadcast(bias_, name, view);
}

void Problem::give(std::vector<double> mean, std::vector<double> rstd) {
  given_mean_ = std::move(mean);
  given_rstd_ = std::move(rstd);
  // Not null even where there are no statistics.
  given_mean_.reserve(1);
  given_rstd_.reserve(1);
  work_.given_mean = given_mean_.data();
  work_.given_rstd = given_rstd_.data();
}

std::vector<double> Problem::spread(const View& view, const AxisList& axes) const {
  Nest nest;
  for (int i = 0; i < x_.ndim; ++i) {
    if (reduced_ & axis(i)) continue;
    Dim dim = {x_.shape[i], Offsets::zero()};
    for (int k = 0; k < axes.n; ++k) {
      if (axes.axis[k] == i && view.shape[k] != 1) dim.step.at[kX] = view.strides[k];
    }
    if (dim.size != 1) nest.push(dim);
  }
  std::vector<double> values(static_cast<std::size_t>(nest.size()));
  for_runs(nest, 0, nest.size(), [&](int64_t i, const Offsets& at, int64_t count) {
    const char* p = static_cast<const char*>(view.data) + at[kX];
    double* to = values.data() + i;
    const int64_t step = nest.inner_step(kX);
    if (view.dtype == DType::kFloat32) {
      read_run<float>(p, step, count, to);
    } else {
      read_run<double>(p, step, count, to);
    }
  });
  return values;
}

void Problem::keep_moments() {
  kept_m2_.resize(static_cast<std::size_t>(statistics()));
  work_.m2 = kept_m2_.data();
  if (work_.mean) return;
  kept_mean_.resize(kept_m2_.size());
  work_.mean = kept_mean_.data();
}

void Problem::report_m2() {
  work_.m2 = work_.scale;
  work_.scale = nullptr;
}

int64_t Problem::count() const {
  int64_t n = 1;
  for (int i = 0; i < x_.ndim; ++i) {
    if (reduced_ & axis(i)) n *= x_.shape[i];
  }
  return split_axis_ < 0 ? n : n * (x_.shape[split_axis_] / groups_);
}

int64_t Problem::statistics() const {
  int64_t n = 1;
  for (int i = 0; i < x_.ndim; ++i) {
    if (!(reduced_ & axis(i))) n *= i == split_axis_ ? groups_ : x_.shape[i];
  }
  return n;
}

template <class T>
void Problem::run_as(const Kernels<T>& kernels) {
  normfast::run<T>(work_, kernels);
}

void Problem::run() {
  if (empty()) {
    // Statistics of nothing: mean 0, and rstd 1, which change nothing.
    if (work_.mean) std::fill_n(work_.mean, statistics(), 0.0);
    if (work_.scale) std::fill_n(work_.scale, statistics(), 1.0);
    return;
  }
  const View& out = common_.out;
  Layout layout;
  const auto dim_of = [&](int i, int64_t size, int64_t times) {
    Dim dim = {size, Offsets::zero()};
    dim.step.at[kX] = x_.strides[i] * times;
    dim.step.at[kY] = out.given() ? out.strides[i] * times : 0;
    dim.step.at[kWeight] = weight_.data ? weight_.step[i] * times : 0;
    dim.step.at[kBias] = bias_.data ? bias_.step[i] * times : 0;
    return dim;
  };
  for (int i = 0; i < x_.ndim; ++i) {
    if (i == split_axis_) {
      const int64_t each = x_.shape[i] / groups_;
      layout.push(dim_of(i, groups_, each), false);
      layout.push(dim_of(i, each, 1), true);
    } else {
      layout.push(dim_of(i, x_.shape[i], 1), (reduced_ & axis(i)) != 0);
    }
  }
  int64_t statistic = 1;
  for (int i = layout.ndim - 1; i >= 0; --i) {
    if (layout.reduced[i]) continue;
    layout.dims[i].step.at[kStatistic] = statistic;
    statistic *= layout.dims[i].size;
  }
  make_plan(layout, work_.plan);
  work_.rule = rule;
  work_.x = static_cast<const char*>(x_.data);
  work_.y = out.given() ? static_cast<char*>(out.data) : nullptr;
  work_.weight = weight_.data;
  work_.bias = bias_.data;
  const int64_t most = std::max<int64_t>(1, x_.size() / kElementsPerThread);
  int threads = 1;
  if (most > 1) threads = common_.num_threads ? common_.num_threads : default_threads().threads;
  work_.threads = static_cast<int>(std::min<int64_t>(most, threads));
  const KernelTable& table = kernels();
  if (x_.dtype == DType::kFloat32) {
    run_as(table.f32);
  } else {
    run_as(table.f64);
  }
}

}  // namespace normfast
