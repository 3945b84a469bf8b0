#include "cuda/plan.hpp"

#include <algorithm>

namespace normfast::cuda {
namespace {

// The dimensions of x, outermost in memory first.
struct Order {
  Layout layout;
  int n;
  int dim[kMaxDims + 1];

  explicit Order(const Problem& problem) {
    problem.lay_out(layout);
    n = memory_order(layout, dim);
  }
  int64_t size(int i) const { return layout.dims[dim[i]].size; }
  bool reduced(int i) const { return layout.reduced[dim[i]]; }
  const Offsets& step(int i) const { return layout.dims[dim[i]].step; }
};

void check_dense(const Problem& problem, const Order& order, Operand operand, const Array& array,
                 const char* name) {
  if (!array.data) return;
  if (array.type == DType::kFloat64) {
    problem.fail_type(std::string(name) +
                      " is float64, expected float32, float16 or bfloat16 on a GPU");
  }
  int64_t step = array.unit();
  bool aligned = reinterpret_cast<uintptr_t>(array.data) % static_cast<uintptr_t>(step) == 0;
  for (int i = order.n; i-- > 0 && aligned;) {
    if (order.step(i)[operand] != step) {
      problem.fail(
          std::string(name) +
          (operand == kX ? " has gaps or a broadcast axis" : " does not lie in memory as x does") +
          "; on a GPU, arrays are contiguous or channels-last, all of them alike");
    }
    step *= order.size(i);
  }
  if (!aligned) problem.fail(std::string(name) + " is not aligned to its elements");
}

Shape shape_of(const Problem& problem, const Order& order) {
  int at = 0;
  const auto take = [&](bool reduced) {
    int64_t size = 1;
    for (; at < order.n && order.reduced(at) == reduced; ++at) size *= order.size(at);
    return size;
  };
  Shape shape;
  shape.units = take(false);
  shape.lines = take(true);
  shape.groups = take(false);
  shape.run = take(true);
  if (at < order.n) {
    problem.fail("the axes averaged over lie in memory in more than two places, " +
                 std::string("which is not supported on a GPU"));
  }
  if (shape.lanes() == 1) std::swap(shape.lines, shape.run);
  if (shape.lines == 1) {
    shape.units *= shape.groups;
    shape.groups = 1;
  }
  return shape;
}

// An array that an operation has one entry of for each element along some axes.
Lookup lookup_of(const Problem& problem, const Order& order, const Shape& shape, const char* name,
                 const Parameter& parameter, int width) {
  Lookup lookup;
  if (!parameter.data) return lookup;
  int64_t steps[kMaxDims + 1];
  problem.lay_out(parameter, steps);
  lookup.array = {const_cast<char*>(parameter.data), parameter.type};
  lookup.offset = static_cast<float>(parameter.offset);
  // Its axes lie side by side in x's memory, as they do in its own.
  const int64_t unit = size_of(parameter.type), lanes = shape.lanes();
  int64_t inner = 1, size = 1;
  bool fits = reinterpret_cast<uintptr_t>(parameter.data) % static_cast<uintptr_t>(unit) == 0;
  int i = order.n;
  while (i > 0 && steps[order.dim[i - 1]] == 0) inner *= order.size(--i);
  while (i > 0 && steps[order.dim[i - 1]] != 0) {
    fits &= steps[order.dim[--i]] == size * unit;
    size *= order.size(i);
  }
  while (i > 0) fits &= steps[order.dim[--i]] == 0;
  if (!fits) {
    problem.fail(std::string(name) +
                 " does not lie in memory as the axes of x that it belongs to; on a GPU, it has to "
                 "be contiguous");
  }
  lookup.per_lane = std::min(inner, lanes);
  if (size == 1 || inner >= lanes) {
    lookup.per_line = std::max<int64_t>(inner / lanes, 1);
    lookup.period = size;
    lookup.step = size == 1 ? 0 : 1;
    lookup.per_lane = lanes;
  } else if (size * inner <= lanes) {
    lookup.wrap = size * inner < lanes ? size : 0;
  } else {
    lookup.step = lanes / inner;
    lookup.period = size / lookup.step;
  }
  lookup.vectors = lookup.per_lane == 1 && parameter.type != DType::kFloat64 &&
                   reinterpret_cast<uintptr_t>(parameter.data) % 16 == 0 &&
                   lookup.step % width == 0 && lookup.wrap % width == 0;
  return lookup;
}

Places places_of(const Problem& problem, const Order& order) {
  Places places;
  for (int i = 0; i < order.n; ++i) {
    if (order.reduced(i)) continue;
    const int64_t size = order.size(i), step = order.step(i)[kStatistic];
    if (places.n > 0 && places.step[places.n - 1] == step * size) {
      places.size[places.n - 1] *= size;
      places.step[places.n - 1] = step;
      continue;
    }
    if (places.n == Places::kMost) problem.fail("x has too many axes in another order for a GPU");
    places.size[places.n] = size;
    places.step[places.n++] = step;
  }
  return places;
}

// Elements in a vector of 16 bytes, where it lies in one line; in one piece, where a statistic is
// read by pieces. Else 1.
int width_of(const Task& task) {
  const int width = static_cast<int>(16 / task.x.unit());
  const int64_t strip = task.form == Form::kLanes ? task.shape.lanes() : task.shape.run;
  return strip % width == 0 ? width : 1;
}

bool aligned(const Task& task) {
  bool all = true;
  for (const Array* a : {&task.x, &task.y, &task.addend, &task.sum}) {
    const auto bytes = static_cast<uintptr_t>(std::min<int64_t>(task.width * a->unit(), 16));
    all &= reinterpret_cast<uintptr_t>(a->data) % bytes == 0;
  }
  return all;
}

int power_of_two_from(int64_t n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace

RowCut cut_row(int64_t count, int width) {
  const int64_t size = divide_up(count, width);
  const int few = width == 1 ? 4 : 2;
  int vectors = kValues / width;
  if (size <= 32 * few) vectors = few;
  if (size == 1 && width > 1) vectors = 1;
  const int64_t threads = divide_up(size, vectors);
  if (threads > 32) return {static_cast<int>(divide_up(threads, 32) * 32), vectors, 1};
  const int group = power_of_two_from(threads);
  return {group, vectors, kWarpRows / group};
}

void lay_out(const Problem& problem, Task& task) {
  if (problem.empty()) {
    // Statistics of nothing, in the caller's order.
    const int64_t statistics = problem.statistics();
    task.shape = {1, 0, statistics, 1};
    task.places.n = 1;
    task.places.size[0] = statistics;
    task.places.step[0] = 1;
    for (Lookup* known : {&task.mean, &task.scale}) {
      const Parameter& p =
          known == &task.mean ? problem.parameters().mean : problem.parameters().scale;
      known->array = {const_cast<char*>(p.data), p.type};
    }
    return;
  }
  const Order order(problem);
  check_dense(problem, order, kX, task.x, "x");
  check_dense(problem, order, kY, task.y, "out");
  check_dense(problem, order, kAddend, task.addend, task.residual ? "residual" : "add");
  check_dense(problem, order, kSum, task.sum, "sum");
  const Problem::Parameters& p = problem.parameters();
  task.shape = shape_of(problem, order);
  task.places = places_of(problem, order);
  if (p.scale.data) {  // nothing is reduced: all of x is lines of lanes
    task.form = Form::kLanes;
    if (task.shape.lines == 1) std::swap(task.shape.units, task.shape.groups);
  } else if (task.shape.lines > 1 && task.shape.run < kFold) {
    task.form = Form::kLanes;
  } else {
    task.form = Form::kPieces;
  }
  task.width = width_of(task);
  task.whole = aligned(task);
  if (task.form == Form::kPieces && task.shape.lines == 1 &&
      task.shape.run <= most_row(task.width)) {
    task.form = Form::kRow;
  }
  const auto lookup = [&](const char* name, const Parameter& parameter) {
    return lookup_of(problem, order, task.shape, name, parameter, task.width);
  };
  task.weight = lookup("weight", p.weight);
  task.bias = lookup("bias", p.bias);
  task.mean = lookup("the mean", p.mean);
  task.scale = lookup("the variance or deviation", p.scale);
  task.plus = p.plus;
  task.root = p.root;
}

Grid cut_rows(Task& task, const RowCut& cut) {
  task.group = cut.group;
  return {divide_up(task.shape.units, cut.rows_per_block), cut.group * cut.rows_per_block};
}

Grid cut_partial(Task& task) {
  const Shape& s = task.shape;
  const auto cut = [&](int64_t size, int64_t least) {
    task.chunk = least * std::max<int64_t>(divide_up(size, least * kMostChunks), 1);
    task.chunks = divide_up(size, task.chunk);
  };
  const int64_t vectors = s.lanes() / task.width;
  int64_t tiles = s.groups;
  if (task.in_pieces()) {
    task.across = 1;
    cut(s.count(), kChunk);
  } else {
    tiles = divide_up(vectors, 32);
    task.across = static_cast<int>(divide_up(vectors, tiles));
    cut(s.lines, kBlock / task.across * 16);
  }
  return {s.units * task.chunks * tiles, kBlock};
}

Grid cut_finalize(Task& task) {
  const int64_t members = task.in_pieces() ? 1 : task.shape.run;
  task.group = std::min(power_of_two_from(task.chunks * members), 32);
  return {divide_up(task.shape.statistics(), kFinalizeBlock / task.group), kFinalizeBlock};
}

Grid cut_apply(Task& task) {
  const Shape& s = task.shape;
  const int64_t vectors = s.lanes() / task.width, tiles = divide_up(vectors, kBlock);
  task.across = static_cast<int>(divide_up(vectors, tiles));
  task.block_lines = kBlock / task.across * 16;
  return {s.units * divide_up(s.lines, task.block_lines) * tiles, kBlock};
}

}  // namespace normfast::cuda
