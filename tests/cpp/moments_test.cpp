// Merging Moments, against two passes in long double.
#include "plan/moments.hpp"

#include "support.hpp"

namespace normfast::test {
namespace {

const Moments kEmpty = {0, 0, 0, 0};

Moments moments_of(const double* x, int64_t count) {
  if (count == 0) return kEmpty;
  // About the first: a long double has too few digits for a large mean.
  long double sum = 0, m2 = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<long double>(x[i]) - x[0];
  const long double mean = sum / static_cast<long double>(count);
  for (int64_t i = 0; i < count; ++i)
    m2 += std::pow(static_cast<long double>(x[i]) - x[0] - mean, 2);
  Moments m = {static_cast<double>(count), 0, 0, static_cast<double>(m2)};
  two_sum(x[0], static_cast<double>(mean), m.mean, m.mean_lo);
  return m;
}

// How far the mean lies from `origin`, which is near it.
double mean_from(const Moments& m, double origin) { return (m.mean - origin) + m.mean_lo; }

// first, first + 1, ..., first + 2 * half: mean first + half, m2 = half (half + 1) (2 half + 1)
// / 3.
std::vector<double> ramp(double first, int64_t half) {
  std::vector<double> x;
  for (int64_t i = 0; i <= 2 * half; ++i) x.push_back(first + static_cast<double>(i));
  return x;
}

double ramp_m2(double half) { return half * (half + 1) * (2 * half + 1) / 3; }

// Cuts x at random places and merges the pieces in a random order of neighbours.
Moments merged_at_random(const std::vector<double>& x, std::mt19937_64& random) {
  std::vector<Moments> pieces;
  for (int64_t i = 0; i < std::ssize(x);) {
    const int64_t count = std::min<int64_t>(integer(random, 0, 40), std::ssize(x) - i);
    pieces.push_back(moments_of(x.data() + i, count));
    i += count;
  }
  while (pieces.size() > 1) {
    const auto i = integer(random, 0, std::ssize(pieces) - 2);
    pieces[static_cast<std::size_t>(i)] = merge(pieces[i], pieces[i + 1]);
    pieces.erase(pieces.begin() + i + 1);
  }
  return pieces[0];
}

TEST(Moments, EmptyIsTheIdentity) {
  const Moments m = {3, 0.1, 1e-20, 0.7};
  for (const Moments& r : {merge(m, kEmpty), merge(kEmpty, m)}) {
    EXPECT_EQ(r.count, m.count);
    EXPECT_EQ(bits(r.mean), bits(m.mean));
    EXPECT_EQ(bits(r.mean_lo), bits(m.mean_lo));
    EXPECT_EQ(bits(r.m2), bits(m.m2));
  }
}

TEST(Moments, MergeInAnyOrderGivesTheKnownMeanAndVariance) {
  std::mt19937_64 random(1);
  for (const double first : {-500.0, 0.0, 1e6, 1e12, 4e15}) {
    auto x = ramp(first, 500);
    for (int round = 0; round < 20; ++round) {
      std::shuffle(x.begin(), x.end(), random);
      const Moments m = merged_at_random(x, random);
      EXPECT_EQ(m.count, 1001);
      EXPECT_NEAR(mean_from(m, first + 500), 0, 1e-11) << first;
      EXPECT_NEAR(m.m2 / ramp_m2(500), 1, 1e-13) << first;
    }
  }
}

TEST(Moments, MergeAgreesWithTwoPassesInLongDouble) {
  std::mt19937_64 random(2);
  for (const Family& family : {Family{"normal", 0, 1, 0}, Family{"mean", 1e9, 1, 0},
                               Family{"large", 0, 1e150, 0}, Family{"small", 0, 1e-150, 0}}) {
    const auto x = data<double>(family, 3000, random);
    const Moments whole = moments_of(x.data(), std::ssize(x));
    for (int round = 0; round < 20; ++round) {
      const Moments m = merged_at_random(x, random);
      EXPECT_EQ(m.count, whole.count);
      EXPECT_NEAR(mean_from(m, whole.mean) - whole.mean_lo, 0, 1e-13 * family.spread);
      EXPECT_NEAR(m.m2 / whole.m2, 1, 1e-13) << family.name;
    }
  }
}

TEST(Moments, MeanKeepsMoreDigitsThanADouble) {
  // One 1e16 and two 1e16 + 2: the mean is 1e16 + 4/3, between two doubles.
  const Moments m = merge({1, 1e16, 0, 0}, {2, 1e16 + 2, 0, 0});
  EXPECT_NEAR(mean_from(m, 1e16), 4.0 / 3, 1e-15);
  EXPECT_NEAR(m.m2, 8.0 / 3, 1e-15);
}

TEST(Moments, TwoSumLosesNothing) {
  double hi, lo;
  two_sum(1e16, 1, hi, lo);
  EXPECT_EQ(hi, 1e16);
  EXPECT_EQ(lo, 1);
  two_sum(1, 1e16, hi, lo);
  EXPECT_EQ(hi, 1e16);
  EXPECT_EQ(lo, 1);
}

TEST(Moments, SumsAboutZeroAddAndTheLargestIsKept) {
  const Moments a = {2, 0, 0, 3}, b = {5, 0, 0, 4};
  for (const Reduction sum : {Reduction::kSquares, Reduction::kMagnitudes}) {
    EXPECT_EQ(merge(sum, a, b).m2, 7);
    EXPECT_EQ(merge(sum, a, b).count, 7);
  }
  EXPECT_EQ(merge(Reduction::kMaximum, a, b).m2, 4);
  EXPECT_EQ(merge(Reduction::kMaximum, b, a).m2, 4);
  EXPECT_EQ(merge(Reduction::kMaximum, b, a).count, 7);
}

// ---- sums of integers -------------------------------------------------------------------------

__extension__ using Wide = __int128;

void expect_moments_of(int64_t n, int64_t sum, int64_t squares) {
  const Moments m = moments_of_sums(
      {static_cast<double>(n), static_cast<double>(sum), 0, static_cast<double>(squares)});
  EXPECT_EQ(m.count, static_cast<double>(n));
  const Wide wide = static_cast<Wide>(n) * squares - static_cast<Wide>(sum) * sum;
  const long double m2 = static_cast<long double>(wide) / static_cast<long double>(n);
  EXPECT_NEAR(m.m2, m2, 3e-16L * m2) << n << ", " << sum << ", " << squares;
  EXPECT_EQ(m.m2 == 0, wide == 0);
  const long double mean = static_cast<long double>(sum) / static_cast<long double>(n);
  EXPECT_EQ(m.mean, static_cast<double>(mean));
  EXPECT_NEAR(m.mean_lo, mean - m.mean, 1e-19L * std::fabs(mean));
}

TEST(MomentsOfSums, AreExactToTheLastBitOfEachNumber) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 2000; ++round) {
    const int64_t n = integer(random, 1, 100);
    int64_t sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t byte = integer(random, -128, 255);
      sum += byte;
      squares += byte * byte;
    }
    // As they are, and of many copies: to the largest sum of squares a double holds exactly.
    expect_moments_of(n, sum, squares);
    const int64_t copies = (int64_t{1} << 53) / std::max<int64_t>(squares, int64_t{1} << 16);
    expect_moments_of(n * copies, sum * copies, squares * copies);
  }
}

TEST(MomentsOfSums, OneOddByteAmongBillionsIsSeen) {
  const int64_t n = int64_t{1} << 37;
  expect_moments_of(n, 255 * n, 65025 * n);
  expect_moments_of(n, 255 * n - 1, 65025 * n - 509);
  // The m2 of one 254 among n of 255 is 1 - 1 / n.
  const Moments m = moments_of_sums({static_cast<double>(n), static_cast<double>(255 * n - 1), 0,
                                     static_cast<double>(65025 * n - 509)});
  EXPECT_EQ(m.m2, 1 - std::ldexp(1.0, -37));
}

TEST(MomentsOfSums, OfNothingAreEmpty) { EXPECT_EQ(moments_of_sums(kEmpty).count, 0); }

TEST(Moments, SumsOfIntegersAdd) {
  const Moments m = merge(Reduction::kSums, {2, 3, 0, 5}, {4, -1, 0, 7});
  EXPECT_EQ(m.count, 6);
  EXPECT_EQ(m.mean, 2);
  EXPECT_EQ(m.m2, 12);
}

TEST(Moments, NaNIsNeverLost) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  for (int r = 0; r < kReductions; ++r) {
    for (const double other : {0.0, 1.0, inf}) {
      const Moments good = {2, 0, 0, other}, bad = {2, nan, nan, nan};
      EXPECT_TRUE(std::isnan(merge(static_cast<Reduction>(r), good, bad).m2)) << r;
      EXPECT_TRUE(std::isnan(merge(static_cast<Reduction>(r), bad, good).m2)) << r;
    }
  }
}

}  // namespace
}  // namespace normfast::test
