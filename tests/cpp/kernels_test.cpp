// Every kernel of every ISA gives the bits of the scalar one. All arrays end at a fence.
#include "kernels/kernels.hpp"

#include "support.hpp"

#include <cmath>

namespace normfast::test {
namespace {

// A kernel that joins the list must join these tests.
template <class T>
constexpr bool kListIsComplete = sizeof(Kernels<T>) == (3 * kReductions + 4) * sizeof(void (*)());
static_assert(kListIsComplete<float> && kListIsComplete<double>);

std::vector<int64_t> row_lengths() {
  std::vector<int64_t> lengths;
  for (int64_t n = 1; n <= 130; ++n) lengths.push_back(n);
  for (const int64_t n : {511, 512, 513, 1024, 1500}) lengths.push_back(n);
  lengths.push_back(kRowChunk);
  return lengths;
}

template <class T>
std::vector<double> tiny_squares() {
  return {0, sizeof(T) == 4 ? 0x1p-122 : 0x1p-900};
}

std::vector<double> list(const Moments& m) { return {m.count, m.mean, m.mean_lo, m.m2}; }

const KernelTable& scalar() { return *built_kernels().front(); }
const Kernels<float>& of(const KernelTable& table, float) { return table.f32; }
const Kernels<double>& of(const KernelTable& table, double) { return table.f64; }

class AnyKernels : public testing::TestWithParam<const KernelTable*> {
 protected:
  void SetUp() override { NORMFAST_SKIP_UNLESS_RUNS(GetParam()->isa); }

  // check(scalar kernels, kernels of this ISA, family, random) for both types.
  template <class Check>
  void each(Check check) {
    const auto with = [&]<class T>(T) {
      for (const Family& family : families<T>()) {
        std::mt19937_64 random(1);
        check(of(scalar(), T()), of(*GetParam(), T()), family, random);
      }
    };
    with(float());
    with(double());
  }
};

class KernelsAgree : public AnyKernels {};

const auto isa_name = [](const auto& info) { return std::string(info.param->isa); };
INSTANTIATE_TEST_SUITE_P(Isa, AnyKernels, testing::ValuesIn(built_kernels()), isa_name);
INSTANTIATE_TEST_SUITE_P(Isa, KernelsAgree,
                         testing::ValuesIn(built_kernels().begin() + 1, built_kernels().end()),
                         isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KernelsAgree);

// ---- rows -------------------------------------------------------------------------------------

TEST_P(KernelsAgree, ReduceRow) {
  const Fenced memory(2 * kRowChunk * sizeof(double));
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t n : row_lengths()) {
      const auto values = data<T>(family, n, random);
      for (const int64_t slack : {0, 1, 5}) {
        T* x = std::copy(values.begin(), values.end(), memory.last<T>(n + slack)) - n;
        for (int r = 0; r < kReductions; ++r) {
          for (const double tiny : tiny_squares<T>()) {
            ASSERT_TRUE(same(list(plain.reduce_row[r](x, nullptr, n, tiny)),
                             list(fast.reduce_row[r](x, nullptr, n, tiny))))
                << family.name << ", reduction " << r << ", " << n << " elements";
          }
        }
      }
    }
  });
}

TEST_P(AnyKernels, ReduceRowOfScatteredGroupsIsThatOfTheRow) {
  const Fenced memory(3 * kRowChunk * sizeof(double));
  each([&]<class T>(const Kernels<T>&, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t n : {int64_t{7}, kGroup, kGroup + 1, 3 * kGroup - 1, kRowChunk}) {
      const auto row = data<T>(family, n, random);
      // The groups lie in memory in reverse, the partial last one first, at odd distances.
      std::vector<const T*> groups;
      T* end = memory.last<T>(0);
      for (int64_t i = 0; i < n; i += kGroup) {
        const int64_t size = std::min(kGroup, n - i);
        end -= size;
        std::copy_n(row.begin() + i, size, end);
        groups.push_back(end);
        end -= 3;
      }
      for (int r = 0; r < kReductions; ++r) {
        ASSERT_TRUE(same(list(fast.reduce_row[r](row.data(), nullptr, n, 0)),
                         list(fast.reduce_row[r](nullptr, groups.data(), n, 0))))
            << family.name << ", reduction " << r << ", " << n << " elements";
      }
    }
  });
}

TEST_P(KernelsAgree, ApplyRow) {
  const Fenced x_memory(1 << 17), y_memory(1 << 17), w_memory(1 << 17), b_memory(1 << 17);
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t n : row_lengths()) {
      const auto values = data<T>(family, n, random);
      const auto weights = data<T>({"weight", 1, 1, 0}, n, random);
      const auto biases = data<T>({"bias", 0, 3, 0}, n, random);
      const Normalizer<T> normalizer = {static_cast<T>(family.center), T(0.7), T(-0.1)};
      const T* x = x_memory.last(values);
      for (const int use : {0, 1, 2, 3}) {
        for (const int64_t step : {0, 1}) {
          const T* w = use & 1 ? w_memory.last(weights) : nullptr;
          const T* b = use & 2 ? b_memory.last(biases) : nullptr;
          std::vector<T> wanted(values.size()), result(values.size());
          plain.apply_row(x, wanted.data(), n, normalizer, w, b, step);
          T* y = y_memory.last<T>(n);
          fast.apply_row(x, y, n, normalizer, w, b, step);
          std::copy_n(y, n, result.begin());
          ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n << " elements";
          std::copy_n(x, n, y);
          fast.apply_row(y, y, n, normalizer, w, b, step);
          std::copy_n(y, n, result.begin());
          ASSERT_TRUE(same(wanted, result)) << family.name << ", in place";
        }
      }
    }
  });
}

// ---- columns ----------------------------------------------------------------------------------

const int64_t kLaneCounts[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 48, 63, 64, 65, 130, 512};
const int64_t kLineCounts[] = {1, 2, 3, 4, 5, 7, 8, 31, kLineGroup};

// Sums of add_lines or add_lines_exact, over what was there before; behind them a fence each.
template <class T, class Kernel, class Center>
std::vector<double> sums(Kernel kernel, const T* x, int64_t stride, int64_t lines, int64_t lanes,
                         const Center* center) {
  static const Fenced sum_memory(8192), square_memory(8192);
  double* sum = sum_memory.last<double>(lanes);
  double* square = square_memory.last<double>(lanes);
  for (int64_t i = 0; i < lanes; ++i) sum[i] = square[i] = 0.25 * static_cast<double>(i);
  kernel(x, stride, lines, lanes, center, sum, square);
  std::vector<double> both(sum, sum + lanes);
  both.insert(both.end(), square, square + lanes);
  return both;
}

TEST_P(KernelsAgree, AddLines) {
  const Fenced memory(1 << 19), center_memory(8192), wide_memory(8192);
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t lanes : kLaneCounts) {
      const auto centers = data<T>({"center", family.center, 1, 0}, lanes, random);
      const T* center = center_memory.last(centers);
      const double* wide = wide_memory.last(std::vector<double>(centers.begin(), centers.end()));
      for (const int64_t lines : kLineCounts) {
        for (const int64_t gap : {0, 3}) {
          const int64_t stride = lanes + gap, used = stride * lines - gap;
          const T* x = memory.last(data<T>(family, used, random));
          for (int r = 0; r < kReductions; ++r) {
            const auto what = [&] {
              return std::string(family.name) + ", reduction " + std::to_string(r) + ", " +
                     std::to_string(lines) + " x " + std::to_string(lanes);
            };
            for (const T* c : {static_cast<const T*>(nullptr), center}) {
              ASSERT_TRUE(same(sums(plain.add_lines[r], x, stride, lines, lanes, c),
                               sums(fast.add_lines[r], x, stride, lines, lanes, c)))
                  << what();
            }
            ASSERT_TRUE(same(sums(plain.add_lines_exact[r], x, stride, lines, lanes, wide),
                             sums(fast.add_lines_exact[r], x, stride, lines, lanes, wide)))
                << what() << ", exact";
          }
        }
      }
    }
  });
}

// A lane's sums may not depend on the lanes beside it.
TEST_P(AnyKernels, AddLinesOfALaneAlone) {
  each([&]<class T>(const Kernels<T>&, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    constexpr int64_t kLanes = 40, kLines = 29;
    const auto x = data<T>(family, kLanes * kLines, random);
    const std::vector<T> center(kLanes, static_cast<T>(family.center));
    for (int r = 0; r < kReductions; ++r) {
      const auto together =
          sums(fast.add_lines[r], x.data(), kLanes, kLines, kLanes, center.data());
      for (int64_t l = 0; l < kLanes; ++l) {
        double sum = 0.25 * static_cast<double>(l), square = sum;
        fast.add_lines[r](x.data() + l, kLanes, kLines, 1, center.data(), &sum, &square);
        ASSERT_TRUE(same(sum, together[l]) && same(square, together[kLanes + l])) << family.name;
      }
    }
  });
}

TEST_P(KernelsAgree, ApplyLines) {
  const Fenced x_memory(1 << 18), y_memory(1 << 18),
      lane_memory[5] = {Fenced(8192), Fenced(8192), Fenced(8192), Fenced(8192), Fenced(8192)};
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t lanes : kLaneCounts) {
      const T* lane[5];
      for (int i = 0; i < 5; ++i) {
        const double center = i == 0 ? family.center : 0;
        lane[i] = lane_memory[i].last(data<T>({"lane", center, 1, 0}, lanes, random));
      }
      for (const int64_t lines : {1, 2, 5}) {
        const int64_t xs = lanes + 3, ys = lanes + 1;
        const T* x = x_memory.last(data<T>(family, xs * lines - 3, random));
        const int64_t written = ys * lines - 1;
        for (const int use : {0, 1, 2, 3}) {
          for (const int64_t step : {0, 1}) {
            const T* w = use & 1 ? lane[3] : nullptr;
            const T* b = use & 2 ? lane[4] : nullptr;
            // The gaps between the lines keep what stands there.
            std::vector<T> wanted(static_cast<std::size_t>(written), T(7)), result(wanted);
            plain.apply_lines(x, xs, wanted.data(), ys, lines, lanes, lane[0], lane[1], lane[2], w,
                              b, step);
            T* y = y_memory.last(result);
            fast.apply_lines(x, xs, y, ys, lines, lanes, lane[0], lane[1], lane[2], w, b, step);
            std::copy_n(y, written, result.begin());
            ASSERT_TRUE(same(wanted, result)) << family.name << ", " << lines << " x " << lanes;
          }
        }
      }
    }
  });
}

// ---- maps -------------------------------------------------------------------------------------

TEST_P(KernelsAgree, Divide) {
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t n : {1, 2, 7, 8, 33, 512}) {
      const std::vector<double> m2 = data<double>(family, n, random);
      for (const Divider by : {Divider{768, 1e-5, 0, true}, Divider{3, 0, 0, true},
                               Divider{1, 0, 1e-12, true}, Divider{1, 0, 1e-12, false}}) {
        std::vector<double> wanted(static_cast<std::size_t>(2 * n)), result(wanted);
        plain.divide(m2.data(), n, by, wanted.data(), wanted.data() + n);
        fast.divide(m2.data(), n, by, result.data(), result.data() + n);
        ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n;
      }
    }
  });
}

TEST_P(KernelsAgree, MakeMaps) {
  each([&]<class T>(const Kernels<T>& plain, const Kernels<T>& fast, const Family& family,
                    std::mt19937_64& random) {
    for (const int64_t n : {1, 2, 7, 8, 33, 512}) {
      const std::vector<double> mean = data<double>(family, n, random);
      const std::vector<double> rest = data<double>({"rest", 0, 1e-9, 0}, n, random);
      const std::vector<double> rstd = data<double>(family, n, random);
      const std::vector<double> bias = data<double>({"bias", 0, 1, 0}, n, random);
      std::vector<T> wanted(static_cast<std::size_t>(3 * n)), result(wanted);
      const auto maps = [&](const Kernels<T>& k, std::vector<T>& to) {
        return k.make_maps(mean.data(), rest.data(), rstd.data(), bias.data(), bias.data(), n,
                           to.data(), to.data() + n, to.data() + 2 * n);
      };
      ASSERT_EQ(maps(plain, wanted), maps(fast, result)) << family.name << ", " << n;
      ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n;
    }
  });
}

TEST_P(AnyKernels, MapsThatFloat32CannotHoldAreRefused) {
  const Kernels<float>& k = GetParam()->f32;
  const double zero = 0, one = 1;
  const auto fits = [&](double mean, double rstd, double weight) {
    float center, scale, shift;
    return k.make_maps(&mean, &zero, &rstd, &weight, &one, 1, &center, &scale, &shift);
  };
  EXPECT_TRUE(fits(1e30, 1, 1));
  EXPECT_TRUE(fits(0, 1, 0));
  EXPECT_TRUE(fits(0, 0x1p126, 1));
  EXPECT_TRUE(fits(0, 0x1p-107, -1));
  EXPECT_FALSE(fits(0, 0x1p127, 1));
  EXPECT_FALSE(fits(0, 0x1p-108, 1));
  EXPECT_FALSE(fits(0, 1, 0x1p-108));
  EXPECT_FALSE(fits(1e39, 1, 1));
  EXPECT_FALSE(fits(0, NAN, 1));
}

}  // namespace
}  // namespace normfast::test
