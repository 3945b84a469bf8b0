// Reductions whose answer is known: exact sums of bytes, weights against long double.
#include "any_kernels.hpp"

#include <cmath>
#include <limits>

namespace normfast::test {
namespace {

const int64_t kLengths[] = {1, 2, 7, 15, 16, 17, 63, 65, 511, 512, 513, 1500, kRowChunk};

// ---- bytes ------------------------------------------------------------------------------------

class Bytes : public AnyKernels {};
NORMFAST_FOR_EACH_ISA(Bytes);

// The largest, the smallest, and random ones.
template <class B>
std::vector<std::vector<B>> bytes(int64_t count, std::mt19937_64& random) {
  const auto n = static_cast<std::size_t>(count);
  std::vector<std::vector<B>> all = {std::vector<B>(n, std::numeric_limits<B>::max()),
                                     std::vector<B>(n, std::numeric_limits<B>::min()),
                                     std::vector<B>(n)};
  for (B& b : all.back()) b = static_cast<B>(random());
  return all;
}

TEST_P(Bytes, OfARowAreSummedExactly) {
  const Fenced memory(3 * kRowChunk);
  std::mt19937_64 random(1);
  each_byte([&]<class B>(B) {
    const auto reduce = direct<B>(*GetParam()).reduce_row[kSums];
    for (const int64_t n : kLengths) {
      for (const auto& row : bytes<B>(n, random)) {
        int64_t sum = 0, square = 0;
        for (const B b : row) sum += b, square += b * b;
        const auto wanted = list(
            {static_cast<double>(n), static_cast<double>(sum), 0, static_cast<double>(square)});
        EXPECT_TRUE(same(list(reduce(memory.last(row), nullptr, n, 0)), wanted)) << n;
        // The same row as groups, in reverse.
        std::vector<const void*> groups;
        B* end = memory.last<B>(0);
        for (int64_t i = 0; i < n; i += kGroup) {
          const int64_t size = std::min(kGroup, n - i);
          std::copy_n(row.begin() + i, size, end -= size);
          groups.push_back(end);
          end -= 3;
        }
        EXPECT_TRUE(same(list(reduce(nullptr, groups.data(), n, 0)), wanted)) << n;
      }
    }
  });
}

TEST_P(Bytes, OfSeveralRowsAreSummedExactly) {
  const Fenced memory(1 << 20);
  std::mt19937_64 random(1);
  each_byte([&]<class B>(B) {
    const auto reduce = direct<B>(*GetParam()).reduce_rows[kSums];
    for (const int64_t n : kLengths) {
      for (const int64_t rows : {1, 2, 9, 33}) {
        const int64_t stride = n + rows % 4;
        for (const auto& x : bytes<B>(stride * (rows - 1) + n, random)) {
          std::vector<double> sum(static_cast<std::size_t>(rows)), rest(sum), square(sum);
          reduce(memory.last(x), stride, rows, n, 0, sum.data(), rest.data(), square.data());
          for (int64_t r = 0; r < rows; ++r) {
            int64_t s = 0, q = 0;
            for (int64_t i = r * stride; i < r * stride + n; ++i) {
              const B b = x[static_cast<std::size_t>(i)];
              s += b, q += b * b;
            }
            ASSERT_EQ(sum[r], static_cast<double>(s)) << rows << " rows of " << n;
            ASSERT_EQ(rest[r], 0);
            ASSERT_EQ(square[r], static_cast<double>(q)) << rows << " rows of " << n;
          }
        }
      }
    }
  });
}

TEST_P(Bytes, OfLinesAreSummedExactlyOnTopOfWhatWasThere) {
  const Fenced memory(1 << 17), sum_memory(8192), square_memory(8192);
  std::mt19937_64 random(1);
  each_byte([&]<class B>(B) {
    const auto add = direct<B>(*GetParam()).add_lines[kSums];
    for (const int64_t lanes : {1, 3, 15, 16, 63, 64, 65, 130, 512}) {
      for (const int64_t lines : {int64_t{1}, int64_t{5}, kLineGroup, kByteGroup}) {
        const int64_t stride = lanes + 3;
        for (const auto& x : bytes<B>(stride * lines - 3, random)) {
          double* sum = sum_memory.last(std::vector<double>(lanes, 1e6));
          double* square = square_memory.last(std::vector<double>(lanes, 1e12));
          add(memory.last(x), stride, lines, lanes, nullptr, sum, square, 4096);
          for (int64_t l = 0; l < lanes; ++l) {
            int64_t s = 1000000, q = 1000000000000;
            for (int64_t r = 0; r < lines; ++r) {
              const B b = x[static_cast<std::size_t>(r * stride + l)];
              s += b, q += b * b;
            }
            ASSERT_EQ(sum[l], static_cast<double>(s)) << lines << " x " << lanes;
            ASSERT_EQ(square[l], static_cast<double>(q)) << lines << " x " << lanes;
          }
        }
      }
    }
  });
}

// ---- weights ----------------------------------------------------------------------------------

class Weighted : public AnyKernels {};
NORMFAST_FOR_EACH_ISA(Weighted);

// What the weighted elements x - center come to, by definition. Weight 0 is not there at all.
struct Expected {
  long double count = 0, sum = 0, square = 0, magnitude = 0, largest = 0;

  void add(long double d, long double w) {
    if (w == 0) return;
    count += w;
    sum += w * d;
    square += w * d * d;
    magnitude += w * std::fabs(d);
    largest = std::max(largest, std::fabs(d));
  }
  long double of(Reduction r) const {
    if (r == Reduction::kMagnitudes) return magnitude;
    return r == Reduction::kMaximum ? largest : square;
  }
};

// Every third weight is 0; what stands there is a NaN, an infinity or anything else.
template <class T>
std::vector<T> with_weights(int64_t n, double mean, std::vector<double>& weight,
                            std::mt19937_64& random) {
  auto x = data<T>({"", mean, 1, 0}, n, random);
  weight.clear();
  for (int64_t i = 0; i < n; ++i) {
    weight.push_back(i % 3 == 1 ? 0 : std::ldexp(static_cast<double>(random() % 1000 + 1), -7));
    if (weight.back() != 0) continue;
    const T spoilt[] = {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                        std::numeric_limits<T>::max(), T(-1)};
    x[static_cast<std::size_t>(i)] = spoilt[random() % 4];
  }
  return x;
}

constexpr Reduction kReduced[] = {Reduction::kMoments, Reduction::kSquares, Reduction::kMagnitudes,
                                  Reduction::kMaximum};

TEST_P(Weighted, StatisticsOfARowAreThoseOfItsDefinition) {
  std::mt19937_64 random(1);
  std::vector<double> weight;
  each_computing([&]<class T>(T) {
    for (const double mean : {0.0, 1e6}) {
      for (const int64_t n : kLengths) {
        const auto x = with_weights<T>(n, mean, weight, random);
        // The mean as a distance from `mean`: a long double has too few digits for it as well.
        Expected about_zero, near_mean, about_mean;
        for (std::size_t i = 0; i < x.size(); ++i) {
          about_zero.add(x[i], weight[i]);
          near_mean.add(static_cast<long double>(x[i]) - mean, weight[i]);
        }
        const long double distance = near_mean.sum / near_mean.count;
        for (std::size_t i = 0; i < x.size(); ++i) {
          about_mean.add(static_cast<long double>(x[i]) - mean - distance, weight[i]);
        }
        for (const Reduction r : kReduced) {
          const int k = static_cast<int>(r);
          const Moments m =
              computing<T>(*GetParam()).reduce_weighted[k](x.data(), weight.data(), n);
          EXPECT_EQ(m.count, about_zero.count);
          const Expected& wanted = r == Reduction::kMoments ? about_mean : about_zero;
          EXPECT_NEAR(m.m2, wanted.of(r), 1e-13 * std::max(1.0L, wanted.of(r))) << k << ", " << n;
          if (r != Reduction::kMoments) continue;
          EXPECT_NEAR((m.mean - mean) + m.mean_lo, distance, 1e-14) << n;
        }
      }
    }
  });
}

TEST_P(Weighted, SumsOfLinesAreThoseOfTheirDefinition) {
  std::mt19937_64 random(1);
  std::vector<double> weight;
  each_computing([&]<class T>(T) {
    for (const int64_t lanes : {1, 7, 8, 9, 40}) {
      constexpr int64_t kLines = 29;
      const auto x = with_weights<T>(lanes * kLines, 3, weight, random);
      const std::vector<double> center(static_cast<std::size_t>(lanes), 2.5);
      for (const Reduction r : kReduced) {
        std::vector<double> count(center.size(), 1), sum(center.size(), 2), q(center.size(), 3);
        computing<T>(*GetParam())
            .add_lines_weighted[static_cast<int>(r)](x.data(), weight.data(), lanes, kLines, lanes,
                                                     center.data(), count.data(), sum.data(),
                                                     q.data());
        for (std::size_t l = 0; l < center.size(); ++l) {
          Expected wanted;
          for (std::size_t i = l; i < x.size(); i += center.size())
            wanted.add(x[i] - 2.5L, weight[i]);
          EXPECT_EQ(count[l], 1 + wanted.count);
          EXPECT_NEAR(sum[l], 2 + (r == Reduction::kMoments ? wanted.sum : 0), 1e-12);
          const long double total =
              r == Reduction::kMaximum ? std::max(3.0L, wanted.largest) : 3 + wanted.of(r);
          EXPECT_NEAR(q[l], total, 1e-13 * total) << static_cast<int>(r);
        }
      }
    }
  });
}

TEST_P(Weighted, NothingIsCountedWhereEveryWeightIsZero) {
  each_computing([&]<class T>(T) {
    const std::vector<T> x(40, std::numeric_limits<T>::quiet_NaN());
    const std::vector<double> weight(40, 0);
    for (const Reduction r : kReduced) {
      const auto reduce = computing<T>(*GetParam()).reduce_weighted[static_cast<int>(r)];
      EXPECT_TRUE(same(list(reduce(x.data(), weight.data(), 40)), {0, 0, 0, 0}));
    }
  });
}

TEST_P(Weighted, ANaNThatCountsIsNotLost) {
  each_computing([&]<class T>(T) {
    for (const std::size_t at : {0u, 5u, 39u}) {
      std::vector<T> x(40, T(1));
      x[at] = std::numeric_limits<T>::quiet_NaN();
      const std::vector<double> weight(40, 0.5);
      for (const Reduction r : kReduced) {
        const auto reduce = computing<T>(*GetParam()).reduce_weighted[static_cast<int>(r)];
        EXPECT_TRUE(std::isnan(reduce(x.data(), weight.data(), 40).m2)) << static_cast<int>(r);
      }
    }
  });
}

}  // namespace
}  // namespace normfast::test
