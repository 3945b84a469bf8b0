// Threads: every task once, exceptions come out, and the same bits from any number of them.
#include "parallel/parallel.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <tuple>

#include "normfast/normfast.hpp"
#include "support.hpp"

namespace normfast::test {
namespace {

class Threads : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(, Threads, testing::Range(1, 8), testing::PrintToStringParamName());

// How often each task was called.
struct Tally {
  std::vector<std::atomic<int>> calls;
  explicit Tally(int64_t tasks) : calls(static_cast<std::size_t>(tasks)) {}
  void add(int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++calls[static_cast<std::size_t>(i)];
  }
  bool all_once() const {
    return std::ranges::all_of(calls, [](const auto& n) { return n == 1; });
  }
};

TEST_P(Threads, TakeEveryTaskOnce) {
  for (const int64_t tasks : {0, 1, 2, 6, 7, 8, 1000}) {
    Tally tally(tasks);
    parallel_for(GetParam(), tasks, [&](int64_t begin, int64_t end) { tally.add(begin, end); });
    EXPECT_TRUE(tally.all_once()) << tasks;
  }
}

TEST_P(Threads, TakeEveryTaskOnceInsideAnother) {
  Tally tally(12);
  parallel_for(GetParam(), 3, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(GetParam(), 4, [&](int64_t b, int64_t e) { tally.add(4 * i + b, 4 * i + e); });
    }
  });
  EXPECT_TRUE(tally.all_once());
}

TEST_P(Threads, PassAnExceptionOnceAllAreDone) {
  for (const int64_t bad : {0, 3, 6}) {
    Tally tally(7);
    auto body = [&](int64_t begin, int64_t end) {
      tally.add(begin, end);
      if (begin <= bad && bad < end) throw std::runtime_error("task");
    };
    EXPECT_THROW(parallel_for(GetParam(), 7, body), std::runtime_error);
    EXPECT_TRUE(tally.all_once());
    // And threads still start afterwards.
    Tally after(7);
    parallel_for(GetParam(), 7, [&](int64_t begin, int64_t end) { after.add(begin, end); });
    EXPECT_TRUE(after.all_once());
  }
}

TEST(SleepingThreads, AreLeftAsleepForShortWorkAndWokenWhereCallsFollowClosely) {
  if (!built_with_openmp()) GTEST_SKIP() << "built without OpenMP: there are no threads";
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  // The test itself may be kept waiting between two lines, but not every time.
  const auto wakes_after = [](auto event) {
    for (int i = 0; i < 100; ++i) {
      event();
      if (worth_waking(0)) return true;
    }
    return false;
  };
  pause();
  EXPECT_TRUE(wakes_after([] { parallel_for(2, 2, [](int64_t, int64_t) {}); }));  // they are awake
  pause();
  EXPECT_FALSE(worth_waking(0));
  EXPECT_TRUE(wakes_after(left_asleep));  // the next call follows closely
  pause();
  EXPECT_TRUE(worth_waking(1e15));
}

TEST(DefaultThreads, AreAtLeastOneAndSayWhy) {
  EXPECT_GE(default_threads().threads, 1);
  EXPECT_FALSE(default_threads().why.empty());
}

View contiguous(float* data, const std::vector<int64_t>& shape) {
  View v;
  v.data = data;
  v.ndim = static_cast<int>(shape.size());
  int64_t stride = sizeof(float);
  for (int i = v.ndim - 1; i >= 0; --i) {
    v.shape[i] = shape[static_cast<std::size_t>(i)];
    v.strides[i] = stride;
    stride *= v.shape[i];
  }
  return v;
}

// Large enough for seven threads to be started, in every form.
struct Case {
  const char* name;
  std::vector<int64_t> shape;
  Axes reduced;
};

TEST_P(Threads, GiveTheSameBits) {
  const Case cases[] = {{"rows", {400, 768}, axis(1)},
                        {"one long row", {300001}, axis(0)},
                        {"planes", {16, 5, 4000}, axis(0) | axis(2)},
                        {"columns", {5000, 60}, axis(0)},
                        {"folded", {120, 60, 49}, axis(0) | axis(2)},
                        {"stacked", {90001, 3}, axis(0)},
                        {"short rows", {30000, 9}, axis(1)}};
  for (const Case& c : cases) {
    std::mt19937_64 random(1);
    View out = contiguous(nullptr, c.shape);
    auto x = data<float>({"", 1e3, 1, 0}, out.size(), random);
    const auto run = [&](int threads) {
      std::vector<float> y(x.size());
      std::vector<double> mean(x.size()), rstd(x.size());
      LayerNorm options;
      options.out = contiguous(y.data(), c.shape);
      options.statistics = {mean.data(), rstd.data()};
      options.num_threads = threads;
      layer_norm(contiguous(x.data(), c.shape), c.reduced, options);
      return std::tuple(y, mean, rstd);
    };
    const auto [y, mean, rstd] = run(GetParam());
    const auto [y1, mean1, rstd1] = run(1);
    EXPECT_TRUE(same(y, y1)) << c.name;
    EXPECT_TRUE(same(mean, mean1)) << c.name;
    EXPECT_TRUE(same(rstd, rstd1)) << c.name;
  }
}

}  // namespace
}  // namespace normfast::test
