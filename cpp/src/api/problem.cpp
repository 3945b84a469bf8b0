#include "api/problem.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "dispatch/caches.hpp"
#include "dispatch/dispatch.hpp"
#include "parallel/parallel.hpp"
#include "plan/overlap.hpp"
#include "run/stage.hpp"

namespace normfast {
namespace {

// Elements a thread must read or write to be worth starting: from the second cache no operation
// does so many in less than 6 us, and threads start and stop in 1 to 4 us while they wait for it.
// Where the caller gives no number they may not: those of other libraries wait busily, too.
constexpr int64_t kElementsPerThread = 128 * 1024, kElementsByDefault = 256 * 1024;

constexpr const char* kFloating = "float32, float64, float16 or bfloat16";

bool same_array(const View& a, const View& b) {
  if (a.data != b.data || a.dtype != b.dtype || a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i] || (a.shape[i] > 1 && a.strides[i] != b.strides[i])) return false;
  }
  return true;
}

// Not null, even where there are none.
Values room_for(int64_t size) {
  std::unique_ptr<double[]> room(new double[static_cast<std::size_t>(std::max<int64_t>(size, 1))]);
  const double* const data = room.get();
  return {data, size, std::move(room)};
}

}  // namespace

const char* dtype_name(DType t) {
  constexpr const char* names[kDTypes] = {"float32", "float64", "float16", "bfloat16",
                                          "uint8",   "int8",    "uint16",  "int16",
                                          "int32",   "int64",   "bool"};
  return names[static_cast<int>(t)];
}

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

Values reciprocals(const Values& values, double plus, bool root) {
  constexpr int64_t kBlock = 512;
  double divisors[kBlock];
  Values result = room_for(values.size);
  for (int64_t i = 0; i < values.size; i += kBlock) {
    const int64_t n = std::min(kBlock, values.size - i);
    kernels().f64.divide(values.data + i, n, {1, plus, 0, root}, divisors, result.copy.get() + i);
  }
  return result;
}

std::string describe(const View& a) {
  return "shape " + shape_text(a.shape, a.ndim) + " " + dtype_name(a.dtype);
}

void need_two_axes(const char* operation, const View& x) {
  if (x.ndim >= 2) return;
  throw ValueError(std::string(operation) + ": x has " + std::to_string(x.ndim) +
                   " dimensions, expected at least 2");
}

Problem::Problem(const char* operation, const View& x, Axes reduced, const Common& common,
                 Accept accept, const char* x_name, Memory memory)
    : operation_(operation),
      x_name_(x_name),
      x_(x),
      common_(common),
      reduced_(reduced & all_axes(x.ndim)),
      size_(x.size()),
      memory_(memory) {
  if (!x.given()) fail(std::string(x_name) + " is missing");
  const bool integer = x.dtype >= DType::kUInt8 && x.dtype <= DType::kInt32;
  if (!is_floating(x.dtype) && !(integer && accept == Accept::kIntegersToo)) {
    fail_type(std::string(x_name) + " is " + dtype_name(x.dtype) + ", expected " + kFloating +
              (accept == Accept::kIntegersToo ? ", or an integer of 8, 16 or 32 bits" : ""));
  }
  const bool wide = x.dtype == DType::kFloat64 || x.dtype == DType::kInt32;
  computing_ = wide ? DType::kFloat64 : DType::kFloat32;
  work_.mean = common.statistics.mean;
  work_.scale = common.statistics.scale;
  read({x_name, &x_, true});
  if (common.out.given()) check_output("out", common.out);
}

void Problem::fail(const std::string& what) const {
  throw ValueError(std::string(operation_) + ": " + what);
}

void Problem::fail_type(const std::string& what) const {
  throw TypeError(std::string(operation_) + ": " + what);
}

void Problem::read(const Named& argument) {
  for (int i = 0; i < num_written_; ++i) {
    if (!written_[i].view->apart) check_apart(written_[i], argument);
  }
  read_[num_read_++] = argument;
}

void Problem::write(const Named& argument) {
  const View& view = *argument.view;
  const char* const name = argument.name;
  if (!view.writable) fail(std::string(name) + " is read-only");
  if (!view.apart) {
    if (overlaps_itself(view)) fail(std::string(name) + " has elements that share memory");
    for (int i = 0; i < num_read_; ++i) check_apart(argument, read_[i]);
    for (int i = 0; i < num_written_; ++i) {
      if (!overlap(view, *written_[i].view)) continue;
      fail(std::string(name) + " overlaps " + written_[i].name);
    }
  }
  written_[num_written_++] = argument;
}

void Problem::check_apart(const Named& written, const Named& read) const {
  const bool both = written.elementwise && read.elementwise;
  if (both && same_array(*written.view, *read.view)) return;
  if (!overlap(*written.view, *read.view)) return;
  const std::string w = written.name, r = read.name;
  // Parameters are named first: it is they that are in the way.
  if (!both && written.elementwise) fail(r + " overlaps " + w);
  fail(w + " overlaps " + r + (both ? "; it must be " + r + " itself or disjoint memory" : ""));
}

void Problem::check_like_x(const char* name, const View& view) const {
  check_floating(name, view);
  bool same = view.ndim == x_.ndim;
  for (int i = 0; i < view.ndim && same; ++i) same = view.shape[i] == x_.shape[i];
  if (!same) {
    fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) + ", expected " +
         shape_text(x_.shape, x_.ndim));
  }
}

void Problem::check_output(const char* name, const View& view) {
  check_like_x(name, view);
  write({name, &view, true});
}

void Problem::check_read(const char* name, const View& view) { read({name, &view, false}); }
void Problem::check_updated(const char* name, const View& view) { write({name, &view, false}); }

void Problem::check_floating(const char* name, const View& view) const {
  if (is_floating(view.dtype)) return;
  fail_type(std::string(name) + " is " + dtype_name(view.dtype) + ", expected " + kFloating);
}

void Problem::check_eps(double eps) const {
  if (!(eps >= 0) || std::isinf(eps)) {
    fail("eps is " + number_text(eps) + ", expected a finite number that is not negative");
  }
}

void Problem::check_parameter(const char* name, const View& view, const AxisList& axes) const {
  check_floating(name, view);
  bool same = view.ndim == axes.n;
  for (int k = 0; k < axes.n && same; ++k) same = view.shape[k] == x_.shape[axes.axis[k]];
  if (same) return;
  int64_t expected[kMaxDims];
  for (int k = 0; k < axes.n; ++k) expected[k] = x_.shape[axes.axis[k]];
  fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) + ", expected " +
       shape_text(expected, axes.n));
}

void Problem::split(int axis, int64_t groups) {
  split_axis_ = axis;
  groups_ = groups;
}

void Problem::place(Parameter& p, const View& view, DType type, double offset) {
  p.data = static_cast<const char*>(view.data);
  p.type = view.dtype;
  p.offset = offset;
  if (memory_ == Memory::kDevice) return;
  int64_t positions = reinterpret_cast<int64_t>(p.data);
  for (int i = 0; i < x_.ndim; ++i) positions |= p.step[i];
  const bool aligned = (positions & (size_of(type) - 1)) == 0;
  if (view.dtype == type && offset == 0 && aligned) return;
  if (view.size() > 0) convert(p, view, type, offset);
}

// What is of another type than asked for, or not aligned; parameters are small.
void Problem::convert(Parameter& p, const View& view, DType type, double offset) {
  Nest nest;
  int64_t packed[kMaxDims];
  int64_t step = size_of(type);
  for (int i = x_.ndim - 1; i >= 0; --i) {
    packed[i] = p.step[i] == 0 ? 0 : step;
    if (p.step[i] != 0) step *= x_.shape[i];
  }
  for (int i = 0; i < x_.ndim; ++i) {
    Dim dim = {p.step[i] == 0 ? 1 : x_.shape[i], Offsets::zero()};
    dim.step.at[kX] = p.step[i];
    if (dim.size != 1) nest.push(dim);
  }
  const Array from = {static_cast<char*>(view.data), view.dtype};
  const int64_t size = nest.size();
  p.copy.reset(new double[static_cast<std::size_t>(size)]);
  const auto fill = [&](const auto& kernels, auto* to) {
    fetch(kernels, from, nest, kX, Offsets::zero(), 0, size, to);
    using T = std::remove_pointer_t<decltype(to)>;
    for (int64_t i = 0; i < size && offset != 0; ++i) to[i] += static_cast<T>(offset);
  };
  if (type == DType::kFloat32) {
    fill(kernels().f32, reinterpret_cast<float*>(p.copy.get()));
  } else {
    fill(kernels().f64, p.copy.get());
  }
  p.data = reinterpret_cast<const char*>(p.copy.get());
  p.type = type;
  p.offset = 0;
  std::copy_n(packed, x_.ndim, p.step);
}

void Problem::step_along(Parameter& p, const View& view, const AxisList& axes) const {
  std::fill_n(p.step, x_.ndim, 0);
  for (int k = 0; k < axes.n; ++k) {
    if (view.shape[k] != 1) p.step[axes.axis[k]] = view.strides[k];
  }
}

void Problem::place_along(Parameter& p, const char* name, const View& view, const AxisList& axes,
                          double offset) {
  check_parameter(name, view, axes);
  check_read(name, view);
  step_along(p, view, axes);
  place(p, view, computing_, offset);
}

void Problem::broadcast(const char* name, const View& view, int64_t* steps) const {
  const int missing = x_.ndim - view.ndim;
  bool fits = missing >= 0;
  std::fill_n(steps, x_.ndim, 0);
  for (int i = 0; i < view.ndim && fits; ++i) {
    const int64_t size = x_.shape[i + missing];
    fits = view.shape[i] == size || view.shape[i] == 1;
    if (view.shape[i] != 1) steps[i + missing] = view.strides[i];
  }
  if (fits) return;
  fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) +
       ", which does not broadcast to " + x_name_ + "'s " + shape_text(x_.shape, x_.ndim));
}

void Problem::place_broadcast(Parameter& p, const char* name, const View& view, double offset) {
  check_floating(name, view);
  check_read(name, view);
  broadcast(name, view, p.step);
  place(p, view, computing_, offset);
}

void Problem::weight(const char* name, const View& view, const AxisList& axes, double offset) {
  if (view.given()) place_along(parameters_.weight, name, view, axes, offset);
}

void Problem::bias(const char* name, const View& view, const AxisList& axes) {
  if (view.given()) place_along(parameters_.bias, name, view, axes, 0);
}

void Problem::broadcast_weight(const char* name, const View& view, double offset) {
  place_broadcast(parameters_.weight, name, view, offset);
}

void Problem::broadcast_bias(const char* name, const View& view) {
  place_broadcast(parameters_.bias, name, view, 0);
}

void Problem::select(const Selection& selection) {
  const View& where = selection.where;
  if (where.given()) {
    if (where.dtype != DType::kBool) {
      fail_type(std::string("where is ") + dtype_name(where.dtype) + ", expected bool");
    }
    check_read("where", where);
    broadcast("where", where, where_step_);
    work_.where = static_cast<const char*>(where.data);
  }
  const View& weight = selection.sample_weight;
  if (!weight.given()) return;
  if (weight.dtype == DType::kBool) fail_type("sample_weight is bool, expected numbers; see where");
  check_read("sample_weight", weight);
  broadcast("sample_weight", weight, sample_weight_.step);
  Nest nest;
  for (int i = 0; i < weight.ndim; ++i) {
    Dim dim = {weight.shape[i], Offsets::zero()};
    dim.step.at[kX] = weight.strides[i];
    if (dim.size != 1) nest.push(dim);
  }
  const Array from = {static_cast<char*>(weight.data), weight.dtype};
  for_pieces(0, nest.size(), [&](int64_t begin, int64_t end) {
    double value[kGroup];
    fetch(kernels().f64, from, nest, kX, Offsets::zero(), begin, end, value);
    for (int64_t i = 0; i < end - begin; ++i) {
      if (value[i] >= 0 && value[i] - value[i] == 0) continue;
      fail("sample_weight has " + number_text(value[i]) +
           ", expected finite numbers that are not negative");
    }
  });
  place(sample_weight_, weight, DType::kFloat64, 0);
  work_.sample_weight = sample_weight_.data;
}

Array Problem::addend(const char* name, const View& view) {
  check_like_x(name, view);
  read({name, &view, true});
  addend_ = &view;
  return {static_cast<char*>(view.data), view.dtype};
}

void Problem::residual(const View& residual, const View& sum) {
  if (!residual.given()) return;
  work_.addend = addend("residual", residual);
  work_.addend_is_residual = true;
  if (!sum.given()) return;
  check_output("sum", sum);
  sum_ = &sum;
  work_.sum = {static_cast<char*>(sum.data), sum.dtype};
}

void Problem::add(const View& add) {
  if (add.given()) work_.addend = addend("add", add);
}

void Problem::give(const Known& mean, const Known& scale, double plus, bool root) {
  if (memory_ == Memory::kDevice) {
    step_along(parameters_.mean, mean.view, mean.axes);
    step_along(parameters_.scale, scale.view, scale.axes);
    place(parameters_.mean, mean.view, computing_, 0);
    place(parameters_.scale, scale.view, computing_, 0);
    parameters_.plus = plus;
    parameters_.root = root;
    return;
  }
  given_mean_ = spread(mean.view, mean.axes);
  given_rstd_ = reciprocals(spread(scale.view, scale.axes), plus, root);
  work_.given_mean = given_mean_.data;
  work_.given_rstd = given_rstd_.data;
}

Values Problem::spread(const View& view, const AxisList& axes) const {
  Nest nest;
  for (int i = 0; i < x_.ndim; ++i) {
    if (reduced_ & axis(i)) continue;
    Dim dim = {x_.shape[i], Offsets::zero()};
    for (int k = 0; k < axes.n; ++k) {
      if (axes.axis[k] == i && view.shape[k] != 1) dim.step.at[kX] = view.strides[k];
    }
    if (dim.size != 1) nest.push(dim);
  }
  const Array from = {static_cast<char*>(view.data), view.dtype};
  const int64_t size = nest.size();
  const bool lies =
      size > 0 && holds<double>(from.type, from.data) && one_run(nest, kX, from.unit());
  if (lies) return {reinterpret_cast<const double*>(from.data), size, nullptr};
  Values values = room_for(size);
  fetch(kernels().f64, from, nest, kX, Offsets::zero(), 0, size, values.copy.get());
  return values;
}

void Problem::keep_moments() {
  kept_m2_.resize(static_cast<std::size_t>(statistics()));
  work_.m2 = kept_m2_.data();
  if (weighted()) {
    kept_count_.resize(kept_m2_.size());
    work_.count = kept_count_.data();
  }
  if (work_.mean) return;
  kept_mean_.resize(kept_m2_.size());
  work_.mean = kept_mean_.data();
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

void Problem::lay_out(const Parameter& parameter, int64_t* steps) const {
  for (int i = 0; i < x_.ndim; ++i) {
    const int64_t step = parameter.step[i];
    if (i == split_axis_) *steps++ = step * (x_.shape[i] / groups_);
    *steps++ = step;
  }
}

void Problem::lay_out(Layout& layout) const {
  for (int i = 0; i < x_.ndim; ++i) {
    Dim& dim = layout.push((reduced_ & axis(i)) != 0);
    dim.size = x_.shape[i];
    dim.step = Offsets::zero();
  }
  const auto set = [&](Operand o, const int64_t* steps) {
    for (int i = 0; i < x_.ndim; ++i) layout.dims[i].step.at[o] = steps[i];
  };
  set(kX, x_.strides);
  if (common_.out.given()) set(kY, common_.out.strides);
  if (addend_) set(kAddend, addend_->strides);
  if (sum_) set(kSum, sum_->strides);
  if (work_.where) set(kWhere, where_step_);
  if (work_.sample_weight) set(kSampleWeight, sample_weight_.step);
  if (parameters_.weight.data) set(kWeight, parameters_.weight.step);
  if (parameters_.bias.data) set(kBias, parameters_.bias.step);
  if (split_axis_ >= 0) layout.cut(split_axis_, groups_);
  int64_t statistic = 1;
  for (int i = layout.ndim - 1; i >= 0; --i) {
    if (layout.reduced[i]) continue;
    layout.dims[i].step.at[kStatistic] = statistic;
    statistic *= layout.dims[i].size;
  }
}

Problem::Selected Problem::selected() const {
  Layout all;
  lay_out(all);
  // Statistics that share their masks and weights are counted once; so are such elements.
  Nest read, counted, shared;
  double times = 1;
  for (int i = 0; i < all.ndim; ++i) {
    const Dim& dim = all.dims[i];
    const bool reads = dim.step[kWhere] != 0 || dim.step[kSampleWeight] != 0;
    const bool kept = dim.step[kStatistic] != 0;
    if (reads) read.push(dim);
    if (reads && kept) counted.push(dim);
    if (!reads && kept) shared.push(dim);
    if (!reads && !kept) times *= static_cast<double>(dim.size);
  }
  const auto size = static_cast<std::size_t>(statistics());
  Selected found = {std::vector<double>(size), std::vector<double>(size)};
  const int64_t mask_step = read.inner_step(kWhere), weight_step = read.inner_step(kSampleWeight);
  const int64_t step = read.inner_step(kStatistic);
  for_runs(read, 0, read.size(), [&](int64_t, const Offsets& at, int64_t count) {
    double* const number = found.number.data() + at[kStatistic];
    double* const weights = found.weight.data() + at[kStatistic];
    const char* const mask = work_.where ? work_.where + at[kWhere] : nullptr;
    if (!work_.sample_weight && step == 0) {
      int64_t n = mask ? 0 : count;
      for (int64_t i = 0; i < count && mask; ++i) n += mask[i * mask_step] != 0;
      *number += times * static_cast<double>(n);
      *weights += times * static_cast<double>(n);
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      double weight = 1;
      if (work_.sample_weight) {
        std::memcpy(&weight, work_.sample_weight + at[kSampleWeight] + i * weight_step,
                    sizeof weight);
      }
      if ((mask && !mask[i * mask_step]) || weight == 0) continue;
      number[i * step] += times;
      weights[i * step] += times * weight;
    }
  });
  for_runs(counted, 0, counted.size(), [&](int64_t, const Offsets& first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t from = first[kStatistic] + i * counted.inner_step(kStatistic);
      for_runs(shared, 0, shared.size(), [&](int64_t, const Offsets& at, int64_t others) {
        for (int64_t k = 0; k < others; ++k) {
          const int64_t to = from + at[kStatistic] + k * shared.inner_step(kStatistic);
          found.number[static_cast<std::size_t>(to)] = found.number[static_cast<std::size_t>(from)];
          found.weight[static_cast<std::size_t>(to)] = found.weight[static_cast<std::size_t>(from)];
        }
      });
    }
  });
  return found;
}

int Problem::threads() const {
  // Lanes that are one statistic are joined, and have a map each.
  int passes = work_.given_rstd ? 0 : plan_.fold > 1 ? 2 : 1;
  if (common_.out.given()) passes += 2;
  if (addend_) passes += 1;
  if (sum_) passes += 1;
  const int64_t each = common_.num_threads ? kElementsPerThread : kElementsByDefault;
  const int64_t most = passes * size_ / each;
  if (most <= 1) return 1;
  const int wanted = common_.num_threads ? common_.num_threads : default_threads().threads;
  return static_cast<int>(std::min<int64_t>(most, wanted));
}

bool Problem::streams(const void* x, const void* out) const {
  if (!common_.out.given() || out == x) return false;
  // From there on the call and what reads its result next take less time together (measured).
  const int64_t l3 = caches().l3 ? caches().l3 : 32 * 1024 * 1024;
  return size_ * size_of(common_.out.dtype) > l3 / 4;
}

// Calls body with the kernels of the computing type.
template <class Body>
auto Problem::computed(const Body& body) const {
  const KernelTable& table = kernels();
  return computing_ == DType::kFloat32 ? body(table.f32, table.fence)
                                       : body(table.f64, table.fence);
}

// Statistics that are given are reported as they are.
void Problem::report_given(const Work& work) const {
  const int64_t n = statistics();
  if (work.mean && work.given_mean) std::copy_n(work.given_mean, n, work.mean);
  if (work.scale && work.given_rstd) std::copy_n(work.given_rstd, n, work.scale);
}

// Those of nothing are mean 0, and rstd 1, which change nothing.
void Problem::report_nothing(const Work& work) const {
  const int64_t n = statistics();
  if (work.mean) std::fill_n(work.mean, n, 0.0);
  if (work.scale) std::fill_n(work.scale, n, rule.report == Report::kReciprocal ? 1.0 : 0.0);
  report_given(work);
}

void Problem::lay_out() {
  Layout layout;
  layout.given = work_.given_rstd != nullptr;
  lay_out(layout);
  make_plan(layout, plan_);
  work_.rule = rule;
  work_.weight = parameters_.weight.data;
  work_.bias = parameters_.bias.data;
  work_.threads = threads();
  work_.threads_given = common_.num_threads > 0;
  work_.far = size_ * size_of(x_.dtype) > caches().l2;
  work_.x = {static_cast<char*>(x_.data), x_.dtype};
  if (common_.out.given()) work_.y = {static_cast<char*>(common_.out.data), common_.out.dtype};
  work_.stream = streams(x_.data, common_.out.data);
}

void Problem::run() {
  if (empty()) return report_nothing(work_);
  lay_out();
  computed(
      [&](const auto& kernels, KernelTable::Fence fence) { normfast::run(work_, kernels, fence); });
  report_given(work_);
}

int64_t Problem::blocks() const {
  if (empty()) return 0;
  return computed(
      [&](const auto& kernels, KernelTable::Fence) { return normfast::blocks(work_, kernels); });
}

void Problem::check_arrays(const Arrays& arrays) const {
  View views[2 * kArguments];
  Named read[kArguments], written[kArguments];
  View* next = views;
  const auto stand = [&](const Named& argument) {
    if (!argument.elementwise) return argument;
    const View* const view = argument.view;
    void* const data = view == &x_            ? const_cast<void*>(arrays.x)
                       : view == &common_.out ? arrays.out
                       : view == sum_         ? arrays.sum
                                              : const_cast<void*>(arrays.addend);
    if (!data && size_ > 0) fail(std::string(argument.name) + " is missing");
    *next = *view;
    next->data = data;
    return Named{argument.name, next++, true};
  };
  for (int i = 0; i < num_read_; ++i) read[i] = stand(read_[i]);
  for (int i = 0; i < num_written_; ++i) {
    written[i] = stand(written_[i]);
    for (int k = 0; k < num_read_; ++k) check_apart(written[i], read[k]);
    for (int k = 0; k < i; ++k) {
      if (!overlap(*written[i].view, *written[k].view)) continue;
      fail(std::string(written[i].name) + " overlaps " + written[k].name);
    }
  }
}

void Problem::check_blocks(int64_t first, int64_t last, int64_t all) const {
  if (0 <= first && first <= last && last <= all) return;
  fail("blocks are [" + std::to_string(first) + ", " + std::to_string(last) +
       "), expected a part of [0, " + std::to_string(all) + ")");
}

Work Problem::with(const Arrays& arrays) const {
  check_arrays(arrays);
  Work work = work_;
  work.x.data = static_cast<char*>(const_cast<void*>(arrays.x));
  if (common_.out.given()) work.y.data = static_cast<char*>(arrays.out);
  if (addend_) work.addend.data = static_cast<char*>(const_cast<void*>(arrays.addend));
  if (sum_) work.sum.data = static_cast<char*>(arrays.sum);
  work.mean = arrays.statistics.mean;
  work.scale = arrays.statistics.scale;
  work.stream = streams(arrays.x, arrays.out);
  return work;
}

void Problem::run(const Arrays& arrays) const {
  const Work work = with(arrays);
  if (empty()) return report_nothing(work);
  computed(
      [&](const auto& kernels, KernelTable::Fence fence) { normfast::run(work, kernels, fence); });
  report_given(work);
}

void Problem::run(const Arrays& arrays, int64_t first, int64_t last) const {
  check_blocks(first, last, blocks());
  const Work work = with(arrays);
  if (work.given_rstd && (work.mean || work.scale)) {
    fail("statistics are given, and not reported by blocks");
  }
  if (first == last) return;
  computed([&](const auto& kernels, KernelTable::Fence fence) {
    normfast::run_blocks(work, kernels, fence, first, last);
  });
}

}  // namespace normfast
