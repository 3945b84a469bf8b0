// overlap() against the sets of bytes two views name.
#include "plan/overlap.hpp"

#include <set>

#include "support.hpp"

namespace normfast::test {
namespace {

alignas(8) char buffer[1024];

struct Axis {
  int64_t size, stride;
};

View view(int64_t offset, DType dtype, const std::vector<Axis>& axes) {
  View v;
  v.data = buffer + offset;
  v.dtype = dtype;
  v.ndim = static_cast<int>(axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    v.shape[i] = axes[i].size;
    v.strides[i] = axes[i].stride;
  }
  return v;
}

View random_view(std::mt19937_64& random) {
  std::vector<Axis> axes;
  const int64_t ndim = integer(random, 0, 3);
  for (int64_t i = 0; i < ndim; ++i)
    axes.push_back({integer(random, 0, 4), integer(random, -30, 30)});
  const DType dtype = integer(random, 0, 1) ? DType::kFloat32 : DType::kFloat64;
  return view(400 + integer(random, 0, 40), dtype, axes);
}

// Every byte, as often as elements hold it.
std::multiset<int64_t> bytes(const View& v) {
  std::multiset<int64_t> all;
  for (int64_t k = 0; k < v.size(); ++k) {
    int64_t at = static_cast<char*>(v.data) - buffer, rest = k;
    for (int i = v.ndim - 1; i >= 0; --i) {
      at += rest % v.shape[i] * v.strides[i];
      rest /= v.shape[i];
    }
    for (int64_t b = 0; b < size_of(v.dtype); ++b) all.insert(at + b);
  }
  return all;
}

TEST(Overlap, IsExactlyASharedByte) {
  std::mt19937_64 random(1);
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    const View a = random_view(random), b = random_view(random);
    const auto left = bytes(a), right = bytes(b);
    const bool shared =
        std::ranges::any_of(left, [&](int64_t byte) { return right.contains(byte); });
    ASSERT_EQ(overlap(a, b), shared) << "round " << round;
    ASSERT_EQ(overlap(b, a), shared) << "round " << round;
    found += shared;
  }
  EXPECT_GT(found, 5000);
  EXPECT_LT(found, 15000);
}

TEST(Overlap, InterleavedChannelsAreApart) {
  const auto channel = [](int64_t first) {
    return view(first * 4, DType::kFloat32, {{5, 48}, {4, 12}});
  };
  EXPECT_FALSE(overlap(channel(0), channel(1)));
  EXPECT_FALSE(overlap(channel(1), channel(2)));
  EXPECT_TRUE(overlap(channel(1), channel(1)));
  EXPECT_TRUE(overlap(channel(0), channel(3)));
}

TEST(Overlap, ReversedViewOfTheSameMemoryIsFound) {
  const View forward = view(0, DType::kFloat64, {{8, 8}});
  EXPECT_TRUE(overlap(forward, view(56, DType::kFloat64, {{8, -8}})));
  EXPECT_FALSE(overlap(forward, view(120, DType::kFloat64, {{8, -8}})));
}

TEST(Overlap, AnEmptyViewSharesNothing) {
  const View one = view(0, DType::kFloat32, {{8, 4}});
  EXPECT_FALSE(overlap(one, view(0, DType::kFloat32, {{0, 4}, {8, 4}})));
}

TEST(OverlapsItself, NeverMissesElementsThatShareMemory) {
  std::mt19937_64 random(2);
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    const View a = random_view(random);
    const auto all = bytes(a);
    const bool shared = std::ranges::adjacent_find(all) != all.end();
    ASSERT_TRUE(!shared || overlaps_itself(a)) << "round " << round;
    found += shared;
  }
  EXPECT_GT(found, 2000);
}

TEST(OverlapsItself, IsFalseForWhatSlicingAndTransposingGive) {
  const DType f = DType::kFloat32;
  EXPECT_FALSE(overlaps_itself(view(0, f, {})));
  EXPECT_FALSE(overlaps_itself(view(0, f, {{4, 24}, {6, 4}})));
  EXPECT_FALSE(overlaps_itself(view(0, f, {{6, 4}, {4, 24}})));
  EXPECT_FALSE(overlaps_itself(view(92, f, {{4, -24}, {6, -4}})));
  EXPECT_FALSE(overlaps_itself(view(0, f, {{2, 48}, {3, 8}})));
  EXPECT_FALSE(overlaps_itself(view(0, f, {{1, 0}, {6, 4}})));
  EXPECT_FALSE(overlaps_itself(view(0, f, {{0, 0}, {6, 0}})));
  EXPECT_TRUE(overlaps_itself(view(0, f, {{4, 0}, {6, 4}})));
}

}  // namespace
}  // namespace normfast::test
