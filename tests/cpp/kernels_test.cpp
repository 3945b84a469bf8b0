// Every kernel of every ISA gives the bits of the scalar one. All arrays end at a fence. (Widening,
// narrowing, splitting and joining have one answer, which convert_test.cpp knows.)
#include "kernels/kernels.hpp"

#include "any_kernels.hpp"

#include <cmath>
#include <cstring>

namespace normfast::test {
namespace {

// A kernel that joins the list must join these tests.
constexpr std::size_t kPointer = sizeof(void (*)());
template <class T>
constexpr bool kListIsComplete =
    sizeof(DirectKernels<T>) == (3 * kReductions + 4) * kPointer &&
    sizeof(Kernels<T>) == kDTypes * sizeof(DirectKernels<T>) +
                              (2 * kReductions + 2 * kDTypes + kActivations + 5) * kPointer;
static_assert(kListIsComplete<float> && kListIsComplete<double>);
static_assert(sizeof(KernelTable) ==
              sizeof(Kernels<float>) + sizeof(Kernels<double>) + (1 + 2 * 4 + 3) * kPointer);

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

// What every kernel of a type meets: body(family, random).
template <class X, class Body>
void each_family(Body body) {
  for (const Family& family : families<X>()) {
    std::mt19937_64 random(1);
    body(family, random);
  }
}

// Weights: of any size, every third of them 0.
std::vector<double> weights(int64_t count, std::mt19937_64& random) {
  std::vector<double> w;
  for (int64_t i = 0; i < count; ++i) {
    w.push_back(random() % 3 == 0 ? 0 : std::ldexp(static_cast<double>(random() % 100), -3));
  }
  return w;
}

// Without the reductions of bytes, which reduce_test.cpp knows the answers of.
constexpr int kOfFloats = kSums;

class KernelsAgree : public AnyKernels {};
class KernelsKeep : public AnyKernels {};

NORMFAST_FOR_EACH_ISA(KernelsKeep);
INSTANTIATE_TEST_SUITE_P(Isa, KernelsAgree,
                         testing::ValuesIn(built_kernels().begin() + 1, built_kernels().end()),
                         isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KernelsAgree);

TEST_P(KernelsAgree, TheSameEntriesAreThere) {
  const auto entries = [](const KernelTable& table) {
    std::vector<uintptr_t> pointers(sizeof table / kPointer);
    std::memcpy(pointers.data(), &table, sizeof table);
    std::vector<bool> there;
    for (const uintptr_t p : pointers) there.push_back(p != 0);
    return there;
  };
  EXPECT_EQ(entries(scalar()), entries(*GetParam()));
}

// ---- rows -------------------------------------------------------------------------------------

TEST_P(KernelsAgree, ReduceRow) {
  const Fenced memory(2 * kRowChunk * sizeof(double));
  each_storage([&]<class X>(X) {
    const auto &plain = direct<X>(scalar()), &fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const auto values = data<X>(family, n, random);
        for (const int64_t slack : {0, 1, 5}) {
          const X* x = std::copy(values.begin(), values.end(), memory.last<X>(n + slack)) - n;
          for (int r = 0; r < kOfFloats; ++r) {
            for (const double tiny : tiny_squares<Computing<X>>()) {
              ASSERT_TRUE(same(list(plain.reduce_row[r](x, nullptr, n, tiny)),
                               list(fast.reduce_row[r](x, nullptr, n, tiny))))
                  << family.name << ", reduction " << r << ", " << n << " elements";
            }
          }
        }
      }
    });
  });
}

TEST_P(KernelsKeep, ReduceRowOfScatteredGroupsIsThatOfTheRow) {
  const Fenced memory(3 * kRowChunk * sizeof(double));
  each_storage([&]<class X>(X) {
    const auto& fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : {int64_t{7}, kGroup, kGroup + 1, 3 * kGroup - 1, kRowChunk}) {
        const auto row = data<X>(family, n, random);
        // The groups lie in memory in reverse, the partial last one first, at odd distances.
        std::vector<const void*> groups;
        X* end = memory.last<X>(0);
        for (int64_t i = 0; i < n; i += kGroup) {
          const int64_t size = std::min(kGroup, n - i);
          end -= size;
          std::copy_n(row.begin() + i, size, end);
          groups.push_back(end);
          end -= 3;
        }
        for (int r = 0; r < kOfFloats; ++r) {
          ASSERT_TRUE(same(list(fast.reduce_row[r](row.data(), nullptr, n, 0)),
                           list(fast.reduce_row[r](nullptr, groups.data(), n, 0))))
              << family.name << ", reduction " << r << ", " << n << " elements";
        }
      }
    });
  });
}

TEST_P(KernelsAgree, ReduceWeighted) {
  const Fenced memory(kRowChunk * sizeof(double)), w_memory(kRowChunk * sizeof(double));
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const T* x = memory.last(data<T>(family, n, random));
        const double* w = w_memory.last(weights(n, random));
        for (int r = 0; r < kOfFloats; ++r) {
          ASSERT_TRUE(
              same(list(plain.reduce_weighted[r](x, w, n)), list(fast.reduce_weighted[r](x, w, n))))
              << family.name << ", reduction " << r << ", " << n << " elements";
        }
      }
    });
  });
}

TEST_P(KernelsAgree, ApplyRow) {
  const Fenced x_memory(1 << 17), y_memory(1 << 18), w_memory(1 << 17), b_memory(1 << 17);
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    const auto &plain = direct<X>(scalar()), &fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const auto values = data<X>(family, n, random);
        const T* weight = w_memory.last(data<T>({"weight", 1, 1, 0}, n, random));
        const T* bias = b_memory.last(data<T>({"bias", 0, 3, 0}, n, random));
        const Normalizer<T> normalizer = {static_cast<T>(family.center), T(0.7), T(-0.1)};
        const X* x = x_memory.last(values);
        for (const int use : {0, 1, 2, 3}) {
          for (const int64_t step : {0, 1}) {
            const T* w = use & 1 ? weight : nullptr;
            const T* b = use & 2 ? bias : nullptr;
            std::vector<X> wanted(values.size()), result(values.size());
            plain.apply_row(x, wanted.data(), n, normalizer, w, b, step);
            X* y = y_memory.last<X>(n);
            fast.apply_row(x, y, n, normalizer, w, b, step);
            std::copy_n(y, n, result.begin());
            ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n << " elements";
            std::copy_n(x, n, y);
            fast.apply_row(y, y, n, normalizer, w, b, step);
            std::copy_n(y, n, result.begin());
            ASSERT_TRUE(same(wanted, result)) << family.name << ", in place";
            // Past the cache: from any element of a cache line on, fetching what may not be there.
            y = y_memory.last<X>(n + n % 37);
            fast.stream_row(x, y, n, normalizer, w, b, step, n * 999);
            GetParam()->fence();
            std::copy_n(y, n, result.begin());
            ASSERT_TRUE(same(wanted, result)) << family.name << ", streamed";
          }
        }
      }
    });
  });
}

TEST_P(KernelsAgree, Activate) {
  const Fenced x_memory(1 << 17), addend_memory(1 << 17), y_memory(1 << 17);
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    const auto check = [&](const std::vector<T>& values, const std::vector<T>& more,
                           const char* what) {
      const int64_t n = std::ssize(values);
      const T* x = x_memory.last(values);
      const T* const given = addend_memory.last(more);
      for (const T* addend : {static_cast<const T*>(nullptr), given}) {
        for (int a = 0; a < kActivations; ++a) {
          std::vector<T> wanted(values.size()), result(values.size());
          plain.activate[a](x, addend, wanted.data(), n);
          T* y = y_memory.last<T>(n);
          fast.activate[a](x, addend, y, n);
          std::copy_n(y, n, result.begin());
          ASSERT_TRUE(same(wanted, result)) << what << ", activation " << a << ", " << n;
          // In the place of x, and of what is added.
          std::copy_n(x, n, y);
          fast.activate[a](y, addend, y, n);
          std::copy_n(y, n, result.begin());
          ASSERT_TRUE(same(wanted, result)) << what << ", activation " << a << ", in place";
          if (!addend) continue;
          std::copy_n(addend, n, y);
          fast.activate[a](x, y, y, n);
          std::copy_n(y, n, result.begin());
          ASSERT_TRUE(same(wanted, result)) << what << ", activation " << a << ", onto the addend";
        }
      }
    };
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        check(data<T>(family, n, random), data<T>({"addend", 0, 1, 0}, n, random), family.name);
      }
    });
    std::mt19937_64 random(2);
    for (int round = 0; round < 30; ++round) {
      std::vector<T> x(1 << 13), addend(x.size(), T(0));
      for (T& v : x) v = std::bit_cast<T>(static_cast<decltype(bits(v))>(random()));
      check(x, addend, "any bits");
    }
  });
}

TEST_P(KernelsKeep, WithoutAnActivationTheAddendIsAddedAlone) {
  each_computing([&]<class T>(T) {
    const auto add = computing<T>(*GetParam()).activate[0];
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : {1, 7, 16, 100}) {
        const auto a = data<T>(family, n, random), b = data<T>(family, n, random);
        std::vector<T> wanted, y(a.size());
        for (std::size_t i = 0; i < a.size(); ++i) wanted.push_back(a[i] + b[i]);
        add(a.data(), b.data(), y.data(), n);
        EXPECT_TRUE(same(wanted, y)) << family.name;
        add(a.data(), nullptr, y.data(), n);
        EXPECT_TRUE(same(a, y)) << family.name;
      }
    });
  });
}

TEST_P(KernelsKeep, CopiesKeepEveryBitAndWriteNothingBesideThem) {
  const Fenced memory(1 << 17);
  std::mt19937_64 random(1);
  for (const int64_t n : row_lengths()) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (float& v : x) v = std::bit_cast<float>(static_cast<uint32_t>(random()));
    for (const auto copy : {GetParam()->copy, GetParam()->stream_copy}) {
      for (const int64_t slack : {0, 1, 5, 16}) {
        float* y = memory.last<float>(n + slack);
        y[-1] = 7;
        std::fill_n(y, n + slack, 7.f);
        copy(x.data(), y, n);
        ASSERT_EQ(std::memcmp(x.data(), y, x.size() * sizeof(float)), 0) << n;
        ASSERT_EQ(y[-1], 7);
        for (int64_t i = n; i < n + slack; ++i) ASSERT_EQ(y[i], 7);
      }
    }
  }
}

// ---- columns ----------------------------------------------------------------------------------

const int64_t kLaneCounts[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 48, 63, 64, 65, 130, 512};
const int64_t kLineCounts[] = {1, 2, 3, 4, 5, 7, 8, 31, kLineGroup};

// What add(sums...) adds to as many arrays of a double a lane, over what was there before; behind
// each of them a fence.
template <int kArrays, class Add>
std::vector<double> sums(int64_t lanes, Add add) {
  static const Fenced memory[] = {Fenced(8192), Fenced(8192), Fenced(8192)};
  double* sum[3];
  for (int k = 0; k < kArrays; ++k) {
    sum[k] = memory[k].last<double>(lanes);
    for (int64_t i = 0; i < lanes; ++i) sum[k][i] = 0.25 * static_cast<double>(i);
  }
  if constexpr (kArrays == 2) add(sum[0], sum[1]);
  if constexpr (kArrays == 3) add(sum[0], sum[1], sum[2]);
  std::vector<double> all;
  for (int k = 0; k < kArrays; ++k) all.insert(all.end(), sum[k], sum[k] + lanes);
  return all;
}

template <class Kernel, class X, class Center>
std::vector<double> sums(Kernel kernel, const X* x, int64_t stride, int64_t lines, int64_t lanes,
                         const Center* center) {
  constexpr int64_t kAhead = 4096;
  return sums<2>(lanes, [&](double* sum, double* square) {
    if constexpr (std::is_invocable_v<Kernel, const void*, int64_t, int64_t, int64_t, const Center*,
                                      double*, double*, int64_t>) {
      kernel(x, stride, lines, lanes, center, sum, square, kAhead);
    } else {
      kernel(x, stride, lines, lanes, center, sum, square);
    }
  });
}

template <class Kernel, class X>
std::vector<double> sums(Kernel kernel, const X* x, const double* weight, int64_t stride,
                         int64_t lines, int64_t lanes, const double* center) {
  return sums<3>(lanes, [&](double* count, double* sum, double* square) {
    kernel(x, weight, stride, lines, lanes, center, count, sum, square);
  });
}

TEST_P(KernelsAgree, AddLines) {
  const Fenced memory(1 << 19), w_memory(1 << 19), center_memory(8192), wide_memory(8192);
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    const auto &plain = direct<X>(scalar()), &fast = direct<X>(*GetParam());
    const auto &plain_of = computing<T>(scalar()), &fast_of = computing<T>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t lanes : kLaneCounts) {
        const auto centers = data<T>({"center", family.center, 1, 0}, lanes, random);
        const T* center = center_memory.last(centers);
        const double* wide = wide_memory.last(values_of(centers));
        for (const int64_t lines : kLineCounts) {
          for (const int64_t gap : {0, 3}) {
            const int64_t stride = lanes + gap, used = stride * lines - gap;
            const X* x = memory.last(data<X>(family, used, random));
            const double* w = w_memory.last(weights(used, random));
            for (int r = 0; r < kOfFloats; ++r) {
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
              if constexpr (std::is_same_v<X, T>) {
                const auto k = plain_of.add_lines_weighted[r], f = fast_of.add_lines_weighted[r];
                ASSERT_TRUE(same(sums(k, x, w, stride, lines, lanes, wide),
                                 sums(f, x, w, stride, lines, lanes, wide)))
                    << what() << ", weighted";
              }
            }
          }
        }
      }
    });
  });
}

// A lane's sums may not depend on the lanes beside it.
TEST_P(KernelsKeep, AddLinesOfALaneAlone) {
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    const auto& fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      constexpr int64_t kLanes = 40, kLines = 29;
      const auto x = data<X>(family, kLanes * kLines, random);
      const std::vector<T> center(kLanes, static_cast<T>(family.center));
      for (int r = 0; r < kOfFloats; ++r) {
        const auto together =
            sums(fast.add_lines[r], x.data(), kLanes, kLines, kLanes, center.data());
        for (int64_t l = 0; l < kLanes; ++l) {
          double sum = 0.25 * static_cast<double>(l), square = sum;
          fast.add_lines[r](x.data() + l, kLanes, kLines, 1, center.data(), &sum, &square, 0);
          ASSERT_TRUE(same(sum, together[l]) && same(square, together[kLanes + l])) << family.name;
        }
      }
    });
  });
}

TEST_P(KernelsAgree, ApplyLines) {
  const Fenced x_memory(1 << 18), y_memory(1 << 18),
      lane_memory[5] = {Fenced(8192), Fenced(8192), Fenced(8192), Fenced(8192), Fenced(8192)};
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    const auto &plain = direct<X>(scalar()), &fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t lanes : kLaneCounts) {
        const T* lane[5];
        for (int i = 0; i < 5; ++i) {
          const double center = i == 0 ? family.center : 0;
          lane[i] = lane_memory[i].last(data<T>({"lane", center, 1, 0}, lanes, random));
        }
        for (const int64_t lines : {1, 2, 5}) {
          const int64_t xs = lanes + 3, ys = lanes + 1;
          const X* x = x_memory.last(data<X>(family, xs * lines - 3, random));
          const int64_t written = ys * lines - 1;
          for (const int use : {0, 1, 2, 3}) {
            for (const int64_t step : {0, 1}) {
              const T* w = use & 1 ? lane[3] : nullptr;
              const T* b = use & 2 ? lane[4] : nullptr;
              // The gaps between the lines keep what stands there.
              std::vector<X> wanted(static_cast<std::size_t>(written), nearest<X>(7));
              std::vector<X> result(wanted);
              plain.apply_lines(x, xs, wanted.data(), ys, lines, lanes, lane[0], lane[1], lane[2],
                                w, b, step);
              X* y = y_memory.last(result);
              fast.apply_lines(x, xs, y, ys, lines, lanes, lane[0], lane[1], lane[2], w, b, step);
              std::copy_n(y, written, result.begin());
              ASSERT_TRUE(same(wanted, result)) << family.name << ", " << lines << " x " << lanes;
              std::fill(result.begin(), result.end(), nearest<X>(7));
              y = y_memory.last(result);
              fast.stream_lines(x, xs, y, ys, lines, lanes, lane[0], lane[1], lane[2], w, b, step,
                                999);
              GetParam()->fence();
              std::copy_n(y, written, result.begin());
              ASSERT_TRUE(same(wanted, result)) << family.name << ", streamed";
            }
          }
        }
      }
    });
  });
}

// ---- sixteen bits -----------------------------------------------------------------------------

template <class Body>
void each_half(Body body) {
  body(Half());
  body(BFloat16());
}

// A kernel that widens in registers does what the float32 kernel does to a widened copy.
TEST_P(KernelsKeep, HalvesAreReducedAsTheirWidenedCopy) {
  each_half([&]<class H>(H) {
    const auto& narrow = direct<H>(*GetParam());
    const auto& wide = direct<float>(*GetParam());
    each_family<H>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : {1, 5, 16, 40, 97, 513, 3000}) {
        const auto x = data<H>(family, n, random);
        const auto values = values_of(x);
        const std::vector<float> copy(values.begin(), values.end());
        for (int r = 0; r < kOfFloats; ++r) {
          EXPECT_TRUE(same(list(narrow.reduce_row[r](x.data(), nullptr, n, 0x1p-122)),
                           list(wide.reduce_row[r](copy.data(), nullptr, n, 0x1p-122))))
              << family.name << ", reduction " << r << ", " << n << " elements";
        }
      }
      constexpr int64_t kLanes = 37, kLines = 19;
      const auto x = data<H>(family, kLanes * kLines, random);
      const auto values = values_of(x);
      const std::vector<float> copy(values.begin(), values.end()), center(kLanes, 0.5f);
      const std::vector<double> exact(kLanes, 0.5);
      for (int r = 0; r < kOfFloats; ++r) {
        const auto of = [&](const auto& k, const auto* p) {
          auto all = sums(k.add_lines[r], p, kLanes, kLines, kLanes, center.data());
          const auto more = sums(k.add_lines_exact[r], p, kLanes, kLines, kLanes, exact.data());
          all.insert(all.end(), more.begin(), more.end());
          return all;
        };
        EXPECT_TRUE(same(of(narrow, x.data()), of(wide, copy.data())))
            << family.name << ", reduction " << r;
      }
    });
  });
}

TEST_P(KernelsKeep, HalvesAreAppliedInFloat32AndRoundedOnce) {
  each_half([&]<class H>(H) {
    const auto& narrow = direct<H>(*GetParam());
    const auto& wide = direct<float>(*GetParam());
    each_family<H>([&](const Family& family, std::mt19937_64& random) {
      constexpr int64_t kLanes = 37, kLines = 5, kCount = kLanes * kLines;
      const auto x = data<H>(family, kCount, random);
      const auto values = values_of(x);
      const std::vector<float> copy(values.begin(), values.end());
      const auto w = data<float>({"weight", 1, 1, 0}, kCount, random);
      const auto b = data<float>({"bias", 0, 1, 0}, kCount, random);
      std::vector<H> result(x.size()), wanted(x.size());
      std::vector<float> y(x.size());
      const auto round = [&] {
        for (std::size_t i = 0; i < y.size(); ++i) wanted[i] = nearest<H>(y[i]);
      };
      const Normalizer<float> n = {static_cast<float>(family.center), 0.7f, -0.1f};
      narrow.apply_row(x.data(), result.data(), kCount, n, w.data(), b.data(), 1);
      wide.apply_row(copy.data(), y.data(), kCount, n, w.data(), b.data(), 1);
      round();
      EXPECT_TRUE(same(result, wanted)) << family.name;
      narrow.apply_lines(x.data(), kLanes, result.data(), kLanes, kLines, kLanes, b.data(),
                         w.data(), b.data(), w.data(), b.data(), 1);
      wide.apply_lines(copy.data(), kLanes, y.data(), kLanes, kLines, kLanes, b.data(), w.data(),
                       b.data(), w.data(), b.data(), 1);
      round();
      EXPECT_TRUE(same(result, wanted)) << family.name;
    });
  });
}

// ---- maps -------------------------------------------------------------------------------------

TEST_P(KernelsAgree, FromSumsOfLanesToTheirMoments) {
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : {1, 2, 7, 8, 33, 512}) {
        const auto center = data<double>(family, n, random), sum = data<double>(family, n, random);
        auto square = data<double>(family, n, random);
        for (double& q : square) q *= q;
        std::vector<T> centers(static_cast<std::size_t>(n)), chosen(centers);
        ASSERT_EQ(plain.choose_centers(sum.data(), square.data(), n, centers.data()),
                  fast.choose_centers(sum.data(), square.data(), n, chosen.data()))
            << family.name << ", " << n;
        ASSERT_TRUE(same(centers, chosen)) << family.name << ", " << n;
        std::vector<double> wanted(static_cast<std::size_t>(3 * n)), result(wanted);
        const auto settle = [&](const Kernels<T>& k, std::vector<double>& to) {
          return k.settle(center.data(), sum.data(), square.data(), n, 37, 1e-3, to.data(),
                          to.data() + n, to.data() + 2 * n);
        };
        ASSERT_EQ(settle(plain, wanted), settle(fast, result)) << family.name << ", " << n;
        ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n;
        for (const int64_t members : {int64_t{2}, int64_t{7}, n}) {
          for (const bool neighbours : {false, true}) {
            const auto join = [&](const Kernels<T>& k, std::vector<double>& to) {
              const int64_t statistics = n / members;
              k.join_lanes(center.data(), sum.data(), square.data(), statistics, members,
                           neighbours, 37, to.data(), to.data() + n, to.data() + 2 * n);
            };
            join(plain, wanted), join(fast, result);
            ASSERT_TRUE(same(wanted, result)) << family.name << ", " << members << " of " << n;
          }
        }
      }
    });
  });
}

// Sixteen lines of 0, 1, 2, 3 and lanes that start at 0, 100, ...: everything is exact.
TEST_P(KernelsKeep, LanesJoinedHaveTheMomentsOfAllTheirElements) {
  constexpr int64_t kStatistics = 5, kMembers = 3, kLanes = kStatistics * kMembers;
  const Kernels<double>& k = GetParam()->f64;
  for (const bool neighbours : {false, true}) {
    double center[kLanes], sum[kLanes], square[kLanes], mean[kLanes], rest[kLanes], m2[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) {
      const int64_t member = neighbours ? l % kMembers : l / kStatistics;
      center[l] = 100 * static_cast<double>(member);
      sum[l] = 4 * (0 + 1 + 2 + 3);
      square[l] = 4 * (0 + 1 + 4 + 9);
    }
    EXPECT_FALSE(k.settle(center, sum, square, kLanes, 16, 0, mean, rest, m2));  // 20 of 56
    for (int64_t l = 0; l < kLanes; ++l) {
      EXPECT_EQ(mean[l], center[l] + 1.5);
      EXPECT_EQ(rest[l], 0);
      EXPECT_EQ(m2[l], 16 * 1.25);
    }
    double all_mean[kStatistics], all_rest[kStatistics], all_m2[kStatistics];
    k.join_lanes(mean, rest, m2, kStatistics, kMembers, neighbours, 16, all_mean, all_rest, all_m2);
    for (int64_t s = 0; s < kStatistics; ++s) {
      EXPECT_EQ(all_mean[s], 101.5);
      EXPECT_EQ(all_rest[s], 0);
      EXPECT_EQ(all_m2[s], 3 * 20 + 16 * 2 * 100 * 100);
    }
  }
}

TEST_P(KernelsKeep, SumsOfLanesThatCancelAreNotTrusted) {
  const Kernels<double>& k = GetParam()->f64;
  const auto trusted = [&](double sum, double square, double least) {
    const double zero = 0;
    double mean, rest, m2;
    return k.settle(&zero, &sum, &square, 1, 4, least, &mean, &rest, &m2);
  };
  EXPECT_TRUE(trusted(0, 4, 0));
  EXPECT_TRUE(trusted(2, 2, 0));  // half is left
  EXPECT_FALSE(trusted(2.01, 2, 0));
  EXPECT_FALSE(trusted(0, 4, 4.01));
  EXPECT_FALSE(trusted(0, INFINITY, 0));
  EXPECT_FALSE(trusted(0, NAN, 0));
  EXPECT_FALSE(trusted(NAN, 4, 0));
}

TEST_P(KernelsAgree, Divide) {
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
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
  });
}

TEST_P(KernelsAgree, MakeMaps) {
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
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
  });
}

TEST_P(KernelsKeep, MapsThatFloat32CannotHoldAreRefused) {
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
