// Prepared operations, as a program in C++17 uses them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <new>
#include <numeric>
#include <ostream>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "normfast/prepared.hpp"

namespace {

std::atomic<std::int64_t> allocations{0};

void* counted(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size)) return p;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace {

namespace nf = normfast;

// Of floats, in C order.
nf::View view(const float* data, const std::vector<std::int64_t>& shape) {
  nf::View v;
  v.data = const_cast<float*>(data);
  v.ndim = static_cast<int>(shape.size());
  std::int64_t step = sizeof(float);
  for (int i = v.ndim - 1; i >= 0; --i) {
    v.shape[i] = shape[static_cast<std::size_t>(i)];
    v.strides[i] = step;
    step *= v.shape[i];
  }
  return v;
}

using Shape = std::vector<std::int64_t>;

std::size_t size_of(const Shape& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(engine() % 2001) / 500 - 1;
  return values;
}

const std::vector<float> parameters = numbers(4096, 1), positive = [] {
  std::vector<float> values = numbers(4096, 2);
  for (float& v : values) v = v * v + 0.5f;
  return values;
}();

struct Case {
  std::string name;
  Shape shape;
  // out and x as they lie; the pointers of a call where it is one.
  std::function<nf::Prepared(const nf::View& x, const nf::View& out, int threads)> prepare;
  std::function<void(const nf::View& x, const nf::View& out)> call;
};

template <class Options, class Axis, class Call>
Case make(std::string name, Shape shape, Axis axis, Options options, Call call) {
  return {std::move(name), std::move(shape),
          [=](const nf::View& x, const nf::View& out, int threads) {
            Options mine = options;
            mine.out = out;
            mine.num_threads = threads;
            return nf::prepare(x, axis, mine);
          },
          [=](const nf::View& x, const nf::View& out) {
            Options mine = options;
            mine.out = out;
            call(x, axis, mine);
          }};
}

std::vector<Case> cases() {
  std::vector<Case> all;
  nf::LayerNorm layer;
  layer.weight = view(parameters.data(), {768});
  layer.bias = view(parameters.data() + 1000, {768});
  layer.activation = nf::Activation::kGelu;
  const auto layer_norm = [](const nf::View& x, nf::Axes a, const nf::LayerNorm& o) {
    nf::layer_norm(x, a, o);
  };
  all.push_back(make("layer_norm", {257, 768}, nf::axis(1), layer, layer_norm));
  layer = {};
  all.push_back(make("layer_norm_short_rows", {3000, 5}, nf::axis(1), layer, layer_norm));
  all.push_back(make("layer_norm_long_row", {2, 70000}, nf::axis(1), layer, layer_norm));
  all.push_back(make("layer_norm_columns", {300, 700}, nf::axis(0), layer, layer_norm));
  nf::RmsNorm rms;
  rms.weight = view(parameters.data(), {640});
  all.push_back(
      make("rms_norm", {100, 640}, nf::axis(1), rms,
           [](const nf::View& x, nf::Axes a, const nf::RmsNorm& o) { nf::rms_norm(x, a, o); }));
  const auto batch_norm = [](const nf::View& x, nf::Axes a, const nf::BatchNorm& o) {
    nf::batch_norm(x, a, o);
  };
  nf::BatchNorm batch;
  batch.weight = batch.running_mean = view(parameters.data(), {33});
  batch.bias = view(parameters.data() + 50, {33});
  batch.running_var = view(positive.data(), {33});
  batch.activation = nf::Activation::kRelu;
  all.push_back(make("batch_norm", {4, 33, 20, 30}, nf::axis(1), batch, batch_norm));
  all.push_back(make("batch_norm_channels_last", {4, 50, 60, 33}, nf::axis(3), batch, batch_norm));
  batch = {};
  batch.training = true;
  all.push_back(make("batch_norm_training", {4, 33, 20, 30}, nf::axis(1), batch, batch_norm));
  const auto instance_norm = [](const nf::View& x, int a, const nf::InstanceNorm& o) {
    nf::instance_norm(x, a, o);
  };
  all.push_back(make("instance_norm", {4, 33, 7, 7}, 1, nf::InstanceNorm(), instance_norm));
  all.push_back(
      make("normalize", {200, 300}, nf::axis(1), nf::Normalize(),
           [](const nf::View& x, nf::Axes a, const nf::Normalize& o) { nf::normalize(x, a, o); }));
  const auto standardize = [](const nf::View& x, nf::Axes a, const nf::Standardize& o) {
    nf::standardize(x, a, o);
  };
  nf::Standardize scores;
  all.push_back(make("standardize", {500, 30}, nf::axis(0), scores, standardize));
  scores.mean = view(parameters.data(), {30});
  scores.deviation = view(positive.data(), {30});
  all.push_back(make("standardize_given", {5000, 30}, nf::axis(0), scores, standardize));

  nf::GroupNorm group;
  group.weight = view(parameters.data(), {32});
  all.push_back({"group_norm",
                 {3, 32, 19, 21},
                 [=](const nf::View& x, const nf::View& out, int threads) {
                   nf::GroupNorm mine = group;
                   mine.out = out;
                   mine.num_threads = threads;
                   return nf::prepare(x, 4, 1, mine);
                 },
                 [=](const nf::View& x, const nf::View& out) {
                   nf::GroupNorm mine = group;
                   mine.out = out;
                   nf::group_norm(x, 4, 1, mine);
                 }});
  all.push_back({"weight_norm",
                 {64, 3, 5, 5},
                 [=](const nf::View& v, const nf::View& out, int threads) {
                   nf::WeightNorm mine;
                   mine.out = out;
                   mine.num_threads = threads;
                   return nf::prepare(v, view(positive.data(), {64}), nf::axis(0), mine);
                 },
                 [=](const nf::View& v, const nf::View& out) {
                   nf::WeightNorm mine;
                   mine.out = out;
                   nf::weight_norm(v, view(positive.data(), {64}), nf::axis(0), mine);
                 }});
  nf::NormalizeImage image;
  image.mean = view(parameters.data(), {3});
  image.deviation = view(positive.data(), {3});
  image.channel_axis = image.out_channel_axis = 2;
  image.swap_rb = true;
  all.push_back({"normalize_image",
                 {200, 300, 3},
                 [=](const nf::View& x, const nf::View& out, int threads) {
                   nf::NormalizeImage mine = image;
                   mine.out = out;
                   mine.num_threads = threads;
                   return nf::prepare(x, mine);
                 },
                 [=](const nf::View& x, const nf::View& out) {
                   nf::NormalizeImage mine = image;
                   mine.out = out;
                   nf::normalize_image(x, mine);
                 }});
  return all;
}

std::ostream& operator<<(std::ostream& to, const Case& c) { return to << c.name; }

// 0 where the system does not tell.
std::ptrdiff_t threads_of_process() {
  std::error_code none;
  const std::filesystem::directory_iterator threads("/proc/self/task", none);
  return std::distance(begin(threads), end(threads));
}

class PreparedCase : public testing::TestWithParam<Case> {
 protected:
  PreparedCase()
      : shape(GetParam().shape), x(numbers(size_of(shape), 3)), y(x.size()), wanted(x.size()) {
    GetParam().call(view(x.data(), shape), view(wanted.data(), shape));
  }

  // How the arrays lie is all it is told of them.
  nf::Prepared prepare(int threads = 1) const {
    return GetParam().prepare(view(nullptr, shape), view(nullptr, shape), threads);
  }

  const Shape shape;
  std::vector<float> x, y, wanted;
};

TEST_P(PreparedCase, GivesTheBitsOfACall) {
  const nf::Prepared prepared = prepare();
  prepared.run({x.data(), y.data()});
  EXPECT_EQ(y, wanted);
}

TEST_P(PreparedCase, RunsOnOtherArraysThatLieAlike) {
  const nf::Prepared prepared = prepare(2);
  prepared.run({x.data(), y.data()});
  // Elsewhere, and aligned otherwise.
  std::vector<float> moved_x(x.size() + 3), moved_y(x.size() + 5);
  std::copy(x.begin(), x.end(), moved_x.begin() + 3);
  prepared.run({moved_x.data() + 3, moved_y.data() + 5});
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), moved_y.begin() + 5));
}

TEST_P(PreparedCase, RunsInPlace) {
  prepare().run({x.data(), x.data()});
  EXPECT_EQ(x, wanted);
}

TEST_P(PreparedCase, RunsByBlocksInAnyOrderOnTheCallersThreads) {
  const nf::Prepared prepared = prepare();
  std::vector<std::int64_t> order(static_cast<std::size_t>(prepared.blocks()));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(7));
  const auto some = [&](std::size_t first) {
    for (std::size_t i = first; i < order.size(); i += 3) {
      prepared.run({x.data(), y.data()}, order[i], order[i] + 1);
    }
  };
  std::thread one(some, 0), two(some, 1), three(some, 2);
  one.join(), two.join(), three.join();
  EXPECT_EQ(y, wanted);

  // Ranges, in place.
  const std::int64_t half = prepared.blocks() / 2;
  prepared.run({x.data(), x.data()}, half, prepared.blocks());
  prepared.run({x.data(), x.data()}, 0, half);
  EXPECT_EQ(x, wanted);
}

TEST_P(PreparedCase, AllocatesNothingAndStartsNoThreadOnceItHasRun) {
  const nf::Prepared prepared = prepare();
  const auto run = [&] {
    prepared.run({x.data(), y.data()});
    prepared.run({x.data(), y.data()}, 0, prepared.blocks());
  };
  run();
  const std::int64_t before = allocations;
  run();
  run();
  EXPECT_EQ(allocations, before);

  // A thread that has no team of OpenMP's yet.
  std::thread([&] {
    const auto threads = threads_of_process();
    run();
    EXPECT_EQ(threads_of_process(), threads);
  }).join();
}

TEST_P(PreparedCase, RefusesWhatOverlapsOrIsMissing) {
  const nf::Prepared prepared = prepare();
  const std::vector<float> before = x;
  EXPECT_THROW(prepared.run({x.data(), x.data() + 1}), nf::ValueError);
  EXPECT_THROW(prepared.run({nullptr, y.data()}), nf::ValueError);
  EXPECT_THROW(prepared.run({x.data(), nullptr}), nf::ValueError);
  EXPECT_THROW(prepared.run({x.data(), y.data()}, 0, prepared.blocks() + 1), nf::ValueError);
  EXPECT_THROW(prepared.run({x.data(), y.data()}, -1, 1), nf::ValueError);
  EXPECT_EQ(x, before);
}

INSTANTIATE_TEST_SUITE_P(, PreparedCase, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Prepared, TakesResidualSumAndStatisticsOfEachRun) {
  const Shape shape = {40, 96};
  const std::vector<float> x = numbers(size_of(shape), 5), r = numbers(size_of(shape), 6);
  std::vector<float> y(x.size()), sum(x.size()), wanted_y(x.size()), wanted_sum(x.size());
  std::vector<double> mean(40), rstd(40), wanted_mean(40), wanted_rstd(40);
  nf::LayerNorm options;
  options.num_threads = 1;
  options.out = options.residual = options.sum = view(nullptr, shape);
  const nf::Prepared prepared = nf::prepare(view(nullptr, shape), nf::axis(1), options);

  nf::Arrays arrays(x.data(), y.data());
  arrays.addend = r.data();
  arrays.sum = sum.data();
  arrays.statistics = {mean.data(), rstd.data()};
  prepared.run(arrays);

  options.out = view(wanted_y.data(), shape);
  options.residual = view(r.data(), shape);
  options.sum = view(wanted_sum.data(), shape);
  options.statistics = {wanted_mean.data(), wanted_rstd.data()};
  nf::layer_norm(view(x.data(), shape), nf::axis(1), options);
  EXPECT_EQ(y, wanted_y);
  EXPECT_EQ(sum, wanted_sum);
  EXPECT_EQ(mean, wanted_mean);
  EXPECT_EQ(rstd, wanted_rstd);

  arrays.sum = y.data();
  EXPECT_THROW(prepared.run(arrays), nf::ValueError);
}

TEST(Prepared, MeanVarHasStatisticsAndNoOut) {
  const Shape shape = {6, 50, 30};
  const std::vector<float> x = numbers(size_of(shape), 8);
  // One row keeps a single element, some none.
  bool where[300];
  for (int i = 0; i < 300; ++i) where[i] = i == 70 || (i >= 100 && i % 3 == 0);
  for (const bool masked : {false, true}) {
    for (const nf::Axes axes : {nf::axis(2), nf::axis(1), nf::axis(0) | nf::axis(1)}) {
      nf::MeanVar options;
      options.num_threads = 1;
      options.correction = 1;
      if (masked) {
        options.where = nf::view(where, {6, 50, 1});
      }
      std::vector<double> mean(300), var(300), wanted_mean(300), wanted_var(300);
      options.statistics = {wanted_mean.data(), wanted_var.data()};
      nf::mean_var(view(x.data(), shape), axes, options);

      options.statistics = {};
      const nf::Prepared prepared = nf::prepare(view(nullptr, shape), axes, options);
      nf::Arrays arrays(x.data(), nullptr);
      arrays.statistics = {mean.data(), var.data()};
      prepared.run(arrays);
      // As text: a variance of what is not selected may be no number.
      EXPECT_EQ(testing::PrintToString(mean), testing::PrintToString(wanted_mean));
      EXPECT_EQ(testing::PrintToString(var), testing::PrintToString(wanted_var));

      mean.assign(300, 0), var.assign(300, 0);
      for (std::int64_t b = prepared.blocks(); b-- > 0;) prepared.run(arrays, b, b + 1);
      EXPECT_EQ(testing::PrintToString(mean), testing::PrintToString(wanted_mean));
      EXPECT_EQ(testing::PrintToString(var), testing::PrintToString(wanted_var));
    }
  }
  nf::MeanVar options;
  options.out = view(nullptr, shape);
  EXPECT_THROW(nf::prepare(view(nullptr, shape), nf::axis(1), options), nf::ValueError);
}

TEST(Prepared, OutlivesTheOptionsAndChecksThemAtOnce) {
  const Shape shape = {3, 8};
  nf::LayerNorm options;
  EXPECT_THROW(nf::prepare(view(nullptr, shape), nf::axis(1), options), nf::ValueError);  // no out
  options.out = view(nullptr, shape);
  options.eps = -1;
  EXPECT_THROW(nf::prepare(view(nullptr, shape), nf::axis(1), options), nf::ValueError);
  options.eps = 0;
  const nf::Prepared copy = [&] {
    nf::LayerNorm gone = options;
    return nf::prepare(view(nullptr, shape), nf::axis(1), gone);
  }();
  std::vector<float> x(24, 3), y(24, 7);
  copy.run({x.data(), y.data()});
  EXPECT_EQ(y, std::vector<float>(24, 0));
}

TEST(Prepared, UpdatesNoRunningStatistics) {
  const Shape shape = {3, 8};
  nf::BatchNorm batch;
  batch.training = true;
  batch.out = view(nullptr, shape);
  nf::prepare(view(nullptr, shape), nf::axis(1), batch);
  std::vector<float> mean(8), var(8);
  batch.running_mean = view(mean.data(), {8});
  batch.running_var = view(var.data(), {8});
  EXPECT_THROW(nf::prepare(view(nullptr, shape), nf::axis(1), batch), nf::ValueError);
  nf::InstanceNorm instance;
  instance.out = view(nullptr, {2, 8, 5});
  instance.running_mean = batch.running_mean;
  instance.running_var = batch.running_var;
  EXPECT_THROW(nf::prepare(view(nullptr, {2, 8, 5}), 1, instance), nf::ValueError);
}

TEST(Prepared, OfNothingRunsAndHasNoBlocks) {
  nf::LayerNorm options;
  options.out = view(nullptr, {0, 4});
  const nf::Prepared prepared = nf::prepare(view(nullptr, {0, 4}), nf::axis(1), options);
  EXPECT_EQ(prepared.blocks(), 0);
  prepared.run({nullptr, nullptr});
  prepared.run({nullptr, nullptr}, 0, 0);
}

}  // namespace
