// Plans of named layouts, what may not change them, and walks over nests.
#include "plan/plan.hpp"

#include <array>
#include <numeric>

#include "support.hpp"

namespace normfast::test {
namespace {

struct Axis {
  int64_t size;
  bool reduced;
};

constexpr Axis kept(int64_t size) { return {size, false}; }
constexpr Axis reduced(int64_t size) { return {size, true}; }

// Float32 axes in memory order with `gap` unused elements after each; y and the statistics have
// none.
Layout lay_out(const std::vector<Axis>& axes, int64_t gap = 0) {
  std::vector<Dim> dims;
  int64_t x = 4, y = 4, statistic = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    Dim dim = {axis->size, Offsets::zero()};
    dim.step.at[kX] = x;
    dim.step.at[kY] = y;
    dim.step.at[kStatistic] = axis->reduced ? 0 : statistic;
    if (!axis->reduced) statistic *= axis->size;
    x = x * axis->size + 4 * gap;
    y *= axis->size;
    dims.insert(dims.begin(), dim);
  }
  Layout layout;
  for (std::size_t i = 0; i < dims.size(); ++i) layout.push(axes[i].reduced) = dims[i];
  return layout;
}

Plan plan_of(const Layout& layout) {
  Plan plan;
  make_plan(layout, plan);
  return plan;
}

// ---- which form -------------------------------------------------------------------------------

struct Case {
  const char* name;
  std::vector<Axis> axes;  // in memory order
  Form form;
  int64_t units, lines, lanes, fold, stack;  // lines of a row: its elements
};

const Case kCases[] = {
    {"LayerNorm", {kept(8), reduced(768)}, Form::kRows, 8, 768, 1, 1, 1},
    {"LayerNormTransposed", {reduced(768), kept(8)}, Form::kColumns, 1, 768, 8, 1, kStack},
    {"LayerNormOfAMiddleAxis", {kept(8), reduced(50), kept(64)}, Form::kColumns, 8, 50, 64, 1, 1},
    {"BatchNormChannelsFirst",
     {reduced(32), kept(64), reduced(56), reduced(56)},
     Form::kRows,
     64,
     32 * 3136,
     1,
     1,
     1},
    {"BatchNormChannelsLast",
     {reduced(32), reduced(56), reduced(56), kept(64)},
     Form::kColumns,
     1,
     32 * 3136,
     64,
     1,
     1},
    {"BatchNormOfFeatures", {reduced(1000), kept(300)}, Form::kColumns, 1, 1000, 300, 1, 1},
    {"BatchNormOfShortPlanes",
     {reduced(32), kept(64), reduced(7), reduced(7)},
     Form::kColumns,
     1,
     32,
     64 * 49,
     49,
     1},
    {"BatchNormOfColours",
     {reduced(224), reduced(224), kept(3)},
     Form::kColumns,
     1,
     224 * 224,
     3,
     1,
     kStack},
    {"BatchNormOfFewColours", {reduced(511), kept(3)}, Form::kColumns, 1, 511, 3, 1, 1},
    {"InstanceNorm", {kept(4), kept(64), reduced(3136)}, Form::kRows, 256, 3136, 1, 1, 1},
    {"GroupNormChannelsFirst",
     {kept(4), kept(8), reduced(8), reduced(3136)},
     Form::kRows,
     32,
     8 * 3136,
     1,
     1,
     1},
    {"GroupNormChannelsLast",
     {kept(4), reduced(3136), kept(8), reduced(8)},
     Form::kColumns,
     4,
     3136,
     64,
     8,
     1},
    {"EverythingReduced", {reduced(100), reduced(300)}, Form::kRows, 1, 30000, 1, 1, 1},
    {"NothingReduced", {kept(100), kept(300)}, Form::kColumns, 1, 1, 30000, 1, 1},
    {"OneElement", {kept(1), reduced(1)}, Form::kRows, 1, 1, 1, 1, 1},
    {"ShortRows", {kept(1000), reduced(10)}, Form::kRows, 1000, 10, 1, 1, 1},
};

class NamedPlan : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Layouts, NamedPlan, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

void expect_plan(const Plan& plan, const Case& c) {
  EXPECT_EQ(plan.form == Form::kRows, c.form == Form::kRows);
  EXPECT_EQ(plan.units.size(), c.units);
  EXPECT_EQ(plan.lines.size(), plan.form == Form::kColumns ? c.lines : 1);
  EXPECT_EQ(plan.lanes.size(), c.lanes);
  EXPECT_EQ(plan.fold, c.fold);
  EXPECT_EQ(plan.stack, c.stack);
  EXPECT_EQ(plan.count(), c.lines * c.fold);
  EXPECT_EQ(plan.apply.size(), c.lines * c.fold);
}

TEST_P(NamedPlan, HasTheFormAndTheSizes) {
  expect_plan(plan_of(lay_out(GetParam().axes)), GetParam());
}

TEST_P(NamedPlan, GapsChangeNothing) {
  for (const int64_t gap : {1, 3, 100}) {
    expect_plan(plan_of(lay_out(GetParam().axes, gap)), GetParam());
  }
}

TEST_P(NamedPlan, TheOrderOfTheAxesChangesNothing) {
  Layout layout = lay_out(GetParam().axes);
  std::mt19937_64 random(1);
  for (int round = 0; round < 10; ++round) {
    for (int i = layout.ndim - 1; i > 0; --i) {
      const auto k = integer(random, 0, i);
      std::swap(layout.dims[i], layout.dims[k]);
      std::swap(layout.reduced[i], layout.reduced[k]);
    }
    expect_plan(plan_of(layout), GetParam());
  }
}

TEST_P(NamedPlan, NegativeStridesChangeNothing) {
  Layout layout = lay_out(GetParam().axes);
  for (int i = 0; i < layout.ndim; ++i) {
    layout.dims[i].step.at[kX] *= -1;
    expect_plan(plan_of(layout), GetParam());
  }
}

// A row must have the same bits alone and in a batch.
TEST_P(NamedPlan, TheBatchAroundItChangesNoForm) {
  const Case& c = GetParam();
  if (c.name == std::string("OneElement") || c.name == std::string("NothingReduced")) {
    GTEST_SKIP() << "the one value is its own mean in every form";
  }
  auto axes = c.axes;
  axes.insert(axes.begin(), kept(1));
  const Plan alone = plan_of(lay_out(axes));
  for (const int64_t batch : {2, 3, 64, 1000}) {
    axes[0] = kept(batch);
    const Plan many = plan_of(lay_out(axes, batch % 2));
    EXPECT_EQ(many.form == Form::kRows, alone.form == Form::kRows);
    EXPECT_EQ(many.fold, alone.fold);
    EXPECT_EQ(many.stack, alone.stack);
    EXPECT_EQ(many.lines.size(), alone.lines.size());
    EXPECT_EQ(many.count(), alone.count());
    EXPECT_EQ(many.units.size() * many.lanes.size(),
              batch * alone.units.size() * alone.lanes.size());
  }
}

// A row as short as any must not become another form in company.
TEST(Plan, TheBatchAroundARowOfAnyLengthChangesNoForm) {
  for (int64_t length = 2; length < 300; ++length) {
    const Plan alone = plan_of(lay_out({kept(1), reduced(length)}));
    for (const int64_t batch : {2, 17}) {
      const Plan many = plan_of(lay_out({kept(batch), reduced(length)}));
      EXPECT_EQ(many.form == Form::kRows, alone.form == Form::kRows) << length;
    }
  }
}

// Given statistics are walked as memory lies: nothing holds the planes of a channel together.
TEST(Plan, RowsOfGivenStatisticsAreThePlanesInTheOrderOfMemory) {
  Layout layout = lay_out({reduced(32), kept(64), reduced(56), reduced(56)}, 1);
  layout.given = true;
  const Plan plan = plan_of(layout);
  EXPECT_TRUE(plan.form == Form::kRows);
  EXPECT_EQ(plan.apply.size(), 56 * 56);
  ASSERT_EQ(plan.units.ndim(), 2);
  EXPECT_EQ(plan.units[0].size, 32);
  EXPECT_EQ(plan.units[0].step[kStatistic], 0);
  EXPECT_EQ(plan.units[1].size, 64);
  EXPECT_EQ(plan.units[1].step[kStatistic], 1);
  for (const Case& c : kCases) {
    Layout given = lay_out(c.axes);
    given.given = true;
    const Plan all = plan_of(given);
    if (all.form == Form::kColumns) {
      expect_plan(all, c);
    } else {
      EXPECT_EQ(all.units.size() * all.apply.size(), c.units * c.lines) << c.name;
    }
  }
}

TEST(Plan, BroadcastAxesGoOutside) {
  Layout layout = lay_out({kept(8), reduced(768), kept(5)});
  layout.dims[2].step.at[kX] = 0;
  const Plan plan = plan_of(layout);
  EXPECT_TRUE(plan.form == Form::kRows);
  EXPECT_EQ(plan.units.size(), 40);
  EXPECT_EQ(plan.sequence.ndim(), 1);
  EXPECT_EQ(plan.sequence.inner_step(kX), 5 * 4);
}

TEST(Plan, JoinsDimensionsThatLieTogether) {
  EXPECT_EQ(plan_of(lay_out({kept(4), kept(8), reduced(56), reduced(56)})).sequence.ndim(), 1);
  EXPECT_EQ(plan_of(lay_out({kept(4), kept(8), reduced(56), reduced(56)}, 1)).sequence.ndim(), 2);
}

TEST(Plan, KnowsWhereTheParametersAreConstant) {
  // One weight a channel, channels last; then a weight that changes along the lines.
  Layout layout = lay_out({reduced(1000), kept(64)});
  layout.dims[1].step.at[kWeight] = layout.dims[1].step.at[kBias] = 4;
  EXPECT_TRUE(plan_of(layout).affine_follows());
  layout.dims[0].step.at[kBias] = 4;
  EXPECT_FALSE(plan_of(layout).affine_follows());
  // One weight a row; then one an element of it.
  layout = lay_out({kept(8), reduced(768)});
  layout.dims[0].step.at[kWeight] = 4;
  EXPECT_TRUE(plan_of(layout).affine_follows());
  layout.dims[1].step.at[kWeight] = 4;
  EXPECT_FALSE(plan_of(layout).affine_follows());
}

// ---- what a plan visits -----------------------------------------------------------------------

using Place = std::array<int64_t, kOperands>;

Place place(const Offsets& o) { return std::to_array(o.at); }

std::vector<Offsets> all(const Nest& nest) {
  std::vector<Offsets> list;
  for (int64_t i = 0; i < nest.size(); ++i) list.push_back(offsets_of(nest, i));
  return list;
}

std::vector<Place> sorted_sums(const Nest& a, const Nest& b, const Nest& c) {
  std::vector<Place> list;
  for (const Offsets& p : all(a)) {
    for (const Offsets& q : all(b)) {
      for (const Offsets& r : all(c)) {
        Offsets sum = p;
        sum.add(q, 1);
        sum.add(r, 1);
        list.push_back(place(sum));
      }
    }
  }
  std::ranges::sort(list);
  return list;
}

// Every element with all that belongs to it, by counting through the layout's dimensions.
std::vector<Place> odometer(const Layout& layout) {
  std::vector<Place> list;
  std::vector<int64_t> index(static_cast<std::size_t>(layout.ndim), 0);
  for (int d = 0; d >= 0;) {
    Offsets at = Offsets::zero();
    for (int i = 0; i < layout.ndim; ++i) at.add(layout.dims[i].step, index[i]);
    list.push_back(place(at));
    for (d = layout.ndim - 1; d >= 0 && ++index[d] == layout.dims[d].size; --d) index[d] = 0;
  }
  std::ranges::sort(list);
  return list;
}

Layout random_layout(std::mt19937_64& random) {
  std::vector<Axis> axes;
  const int64_t ndim = integer(random, 0, 5);
  for (int64_t i = 0; i < ndim; ++i) axes.push_back({integer(random, 1, 6), random() % 2 == 0});
  Layout layout = lay_out(axes, integer(random, 0, 2));
  for (int i = 0; i < layout.ndim; ++i) {
    Offsets& step = layout.dims[i].step;
    if (random() % 6 == 0) step.at[kX] = 0;
    if (random() % 4 == 0) step.at[kX] *= -1;
    for (const Operand o : {kAddend, kSum, kWhere, kSampleWeight, kWeight, kBias}) {
      step.at[o] = 4 * integer(random, 0, 2);
    }
    const auto k = integer(random, 0, i);
    std::swap(layout.dims[i], layout.dims[k]);
    std::swap(layout.reduced[i], layout.reduced[k]);
  }
  return layout;
}

TEST(Plan, VisitsEveryElementOnceWithAllThatBelongsToIt) {
  std::mt19937_64 random(1);
  int columns = 0;
  for (int round = 0; round < 3000; ++round) {
    const Layout layout = random_layout(random);
    const Plan plan = plan_of(layout);
    const auto wanted = odometer(layout);
    if (plan.form == Form::kRows) {
      ASSERT_EQ(sorted_sums(plan.units, plan.apply, Nest()), wanted) << "round " << round;
    } else {
      ASSERT_EQ(sorted_sums(plan.units, plan.lines, plan.lanes), wanted) << "round " << round;
      ++columns;
    }
  }
  EXPECT_GT(columns, 500);
}

TEST(Plan, NestsJoinedForFewerArraysVisitInTheSameOrder) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 3000; ++round) {
    const Plan plan = plan_of(random_layout(random));
    const auto sequence = all(plan.sequence), apply = all(plan.apply);
    ASSERT_EQ(sequence.size(), apply.size());
    for (std::size_t i = 0; i < apply.size(); ++i) ASSERT_EQ(sequence[i][kX], apply[i][kX]);
    if (plan.form == Form::kRows) continue;
    const auto strip = all(plan.strip), lanes = all(plan.lanes);
    ASSERT_EQ(strip.size(), lanes.size());
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      for (const Operand o : {kX, kY, kAddend, kSum}) ASSERT_EQ(strip[i][o], lanes[i][o]);
    }
  }
}

TEST(Plan, FoldedLanesOfOneStatisticAreNeighbours) {
  for (const Case& c : kCases) {
    if (c.fold == 1) continue;
    const auto lanes = all(plan_of(lay_out(c.axes)).lanes);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      EXPECT_EQ(lanes[i][kStatistic], lanes[i - i % c.fold][kStatistic]) << c.name;
    }
  }
}

TEST(Nest, RunsCoverAnyRangeOnce) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 3000; ++round) {
    Nest nest;
    std::vector<Dim> dims;
    const int64_t ndim = integer(random, 0, 4);
    for (int64_t i = 0; i < ndim; ++i) {
      Dim dim = {integer(random, 1, 5), Offsets::zero()};
      for (int64_t& step : dim.step.at) step = integer(random, -9, 9);
      // Now and then a pair that can be joined.
      if (!dims.empty() && random() % 3 == 0) {
        for (int o = 0; o < kOperands; ++o) dims.back().step.at[o] = dim.step.at[o] * dim.size;
      }
      dims.push_back(dim);
    }
    for (const Dim& dim : dims) nest.push(dim);
    const auto naive = [&](int64_t i) {
      Offsets at = Offsets::zero();
      for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
        at.add(dim->step, i % dim->size);
        i /= dim->size;
      }
      return place(at);
    };
    const int64_t begin = integer(random, 0, nest.size()), end = integer(random, 0, nest.size());
    int64_t next = begin;
    for_runs(nest, begin, end, [&](int64_t i, Offsets at, int64_t count) {
      ASSERT_EQ(i, next);
      ASSERT_GT(count, 0);
      for (int64_t k = 0; k < count; ++k, ++next) {
        ASSERT_EQ(place(at), naive(next)) << "round " << round;
        if (nest.ndim() > 0) at.add(nest.inner().step, 1);
      }
    });
    ASSERT_EQ(next, std::max(begin, end));  // nothing where begin >= end
  }
}

TEST(Nest, IsStillWhereNoStepIsTaken) {
  Nest nest;
  EXPECT_TRUE(nest.still(kX));
  Dim dim = {3, Offsets::zero()};
  dim.step.at[kX] = 8;
  nest.push(dim);
  EXPECT_FALSE(nest.still(kX));
  EXPECT_TRUE(nest.still(kWeight));
}

}  // namespace
}  // namespace normfast::test
