// Every kernel of every ISA gives the bits of the scalar one. All arrays end at a fence. (Widening,
// narrowing, splitting and joining have one answer, which convert_test.cpp knows.)
#include "kernels/kernels.hpp"

#include "any_kernels.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace normfast::test {
namespace {

// A kernel that joins the list must join these tests.
constexpr std::size_t kPointer = sizeof(void (*)());
template <class T>
constexpr bool kListIsComplete =
    sizeof(DirectKernels<T>) == (5 * kReductions + 4) * kPointer &&
    sizeof(Kernels<T>) == kDTypes * sizeof(DirectKernels<T>) +
                              (3 * kReductions + 4 * kDTypes + 2 * kActivations + 6) * kPointer;
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

// A row may not feel its company, nor what lies between the rows.
TEST_P(KernelsKeep, ReduceRowsGivesEachRowWhatReduceRowGives) {
  const Fenced memory(1 << 20), to_memory[] = {Fenced(4096), Fenced(4096), Fenced(4096)};
  each_storage([&]<class X>(X) {
    const auto& fast = direct<X>(*GetParam());
    const double tiny = tiny_squares<Computing<X>>().back();
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const int64_t most = n <= 130 ? 40 : 3;
        const int64_t stride = n + (n % 4 == 1 ? 5 : 0);
        auto values = data<X>(family, stride * most, random);
        for (int64_t i = n; i < std::ssize(values); ++i) {
          if (i % stride >= n) values[static_cast<std::size_t>(i)] = nearest<X>(NAN);
        }
        values.resize(static_cast<std::size_t>(stride * (most - 1) + n));
        const X* x = memory.last(values);
        for (int r = 0; r < kOfFloats; ++r) {
          std::vector<Moments> alone;
          for (int64_t i = 0; i < most; ++i) {
            alone.push_back(fast.reduce_row[r](x + i * stride, nullptr, n, tiny));
          }
          for (const int64_t rows : {1, 2, 3, 7, 8, 9, 31, 32, 33, 40}) {
            if (rows > most) continue;
            const int64_t first = most - rows;
            double* to[3];
            for (int k = 0; k < 3; ++k) {
              to[k] = to_memory[k].last<double>(rows);
              to[k][-1] = 7;
            }
            fast.reduce_rows[r](x + first * stride, stride, rows, n, tiny, to[0], to[1], to[2]);
            for (int64_t i = 0; i < rows; ++i) {
              const Moments& m = alone[static_cast<std::size_t>(first + i)];
              ASSERT_TRUE(same(m.mean, to[0][i]) && same(m.mean_lo, to[1][i]) &&
                          same(m.m2, to[2][i]))
                  << family.name << ", reduction " << r << ", row " << i << " of " << rows << ", "
                  << n << " elements";
            }
            for (const double* p : to) ASSERT_EQ(p[-1], 7);
          }
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

// Rows of a mask, which may lie anywhere, one of them selecting nothing.
TEST_P(KernelsKeep, ReduceSelectedGivesWhatWeightsOfOneAndZeroGive) {
  const Fenced memory(1 << 20), mask_memory(1 << 18),
      to_memory[] = {Fenced(4096), Fenced(4096), Fenced(4096), Fenced(4096)};
  each_computing([&]<class T>(T) {
    const auto &plain = computing<T>(scalar()), &fast = computing<T>(*GetParam());
    each_family<T>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const int64_t most = n <= 130 ? 9 : 5, stride = n + 3, mask_stride = n + n % 3;
        auto values = data<T>(family, stride * (most - 1) + n, random);
        std::vector<uint8_t> selected;
        for (int64_t i = 0; i < mask_stride * (most - 1) + n; ++i) {
          const bool nothing = i / mask_stride == 2;
          selected.push_back(nothing ? uint8_t(0) : uint8_t(integer(random, 0, 2) * 127));
        }
        const T* const x = memory.last(values);
        const uint8_t* const by = mask_memory.last(selected);
        for (int r = 0; r < kOfFloats; ++r) {
          for (const int64_t rows : {int64_t(1), int64_t(3), most}) {
            const int64_t first = most - rows;
            double* to[4];
            for (int k = 0; k < 4; ++k) {
              to[k] = to_memory[k].last<double>(rows);
              to[k][-1] = 7;
            }
            fast.reduce_selected[r](x + first * stride, stride, by + first * mask_stride,
                                    mask_stride, rows, n, to[0], to[1], to[2], to[3]);
            for (int64_t i = 0; i < rows; ++i) {
              std::vector<double> weight(static_cast<std::size_t>(n));
              plain.select_weights(by + (first + i) * mask_stride, n, false, weight.data());
              const Moments m =
                  plain.reduce_weighted[r](x + (first + i) * stride, weight.data(), n);
              ASSERT_TRUE(same(m.count, to[0][i]) && same(m.mean, to[1][i]) &&
                          same(m.mean_lo, to[2][i]) && same(m.m2, to[3][i]))
                  << family.name << ", reduction " << r << ", row " << i << " of " << rows << ", "
                  << n << " elements";
            }
            for (const double* p : to) ASSERT_EQ(p[-1], 7);
          }
        }
      }
    });
  });
}

// What may follow the maps of rows.
struct Affine {
  bool weight, bias;
  int64_t step;                    // of both along a row,
  int64_t weight_next, bias_next;  // and from a row to the next
  bool adds = false;
  bool relu = false;
};

// Nothing; constants and arrays, shared by the rows or their own; of the two both, or one. Where
// there are no arrays also with an addend, ReLU or both at the end.
std::vector<Affine> affines(int64_t count) {
  std::vector<Affine> all = {{false, false, 0, 0, 0}, {false, false, 1, 0, 0}};
  for (const auto& [weight, bias] : {std::pair(true, false), {false, true}, {true, true}}) {
    for (const int64_t step : {0, 1}) {
      const int64_t own = step ? count + 2 : 1;
      all.push_back({weight, bias, step, 0, 0});
      all.push_back({weight, bias, step, weight ? own : 0, bias ? own : 0});
    }
  }
  all.push_back({true, true, 0, 0, 1});
  all.push_back({true, true, 1, count + 2, 0});
  for (std::size_t i = 0, n = all.size(); i < n; ++i) {
    Affine ended = all[i];
    if (ended.step == 1 && (ended.weight || ended.bias)) continue;
    for (const auto& [adds, relu] : {std::pair(true, false), {false, true}, {true, true}}) {
      ended.adds = adds, ended.relu = relu;
      all.push_back(ended);
    }
  }
  return all;
}

// Rows and what goes with them, at fences.
template <class X>
class SomeRows {
  using T = Computing<X>;

 public:
  const int64_t rows, count, stride;
  const X* x;

  // Rows of x, and of what is added, follow one another or do not.
  SomeRows(const Family& family, int64_t rows_, int64_t count_, int64_t x_slack,
           std::mt19937_64& random, bool dense = false)
      : rows(rows_),
        count(count_),
        stride(count + (dense ? 0 : 3)),
        addend_stride_(count + (dense ? 0 : 1)) {
    std::vector<X> values = data<X>(family, stride * (rows - 1) + count, random);
    const int64_t used = std::ssize(values);
    x = std::copy(values.begin(), values.end(), memory(0).last<X>(used + x_slack)) - used;
    for (int i = 0; i < 3; ++i) {
      const double center = i == 0 ? family.center : 0;
      map_[i] = memory(1 + i).last(data<T>({"map", center, 1, 0}, rows, random));
    }
    const int64_t arrays = (count + 2) * rows - 2;
    weight_ = memory(4).last(data<T>({"weight", 1, 1, 0}, arrays, random));
    bias_ = memory(5).last(data<T>({"bias", 0, 3, 0}, arrays, random));
    addend_ =
        memory(7).last(data<X>({"addend", 0, 1, 0}, addend_stride_ * (rows - 1) + count, random));
  }

  RowMaps<T> maps(const Affine& a, int64_t next) const {
    return {map_[0],
            map_[1],
            map_[2],
            next,
            a.weight ? weight_ : nullptr,
            a.bias ? bias_ : nullptr,
            a.step,
            a.weight_next,
            a.bias_next,
            {a.adds ? addend_ : nullptr, addend_stride_, a.relu}};
  }

  // Row i of what may be added to x.
  const X* residual(int64_t i) const { return addend_ + i * addend_stride_; }

  // y of rows `ys` elements apart, seen through a buffer of 7s that the kernel does not see.
  template <class Kernel>
  std::vector<X> result(int64_t ys, int64_t slack, Kernel kernel) const {
    constexpr int64_t kBefore = 70;
    const int64_t used = ys * (rows - 1) + count, all = kBefore + used + slack;
    X* const begin = memory(6).last(std::vector<X>(static_cast<std::size_t>(all), nearest<X>(7)));
    kernel(x, stride, begin + kBefore, ys, rows, count);
    for (int64_t i = 0; i < all; ++i) {
      const int64_t at = i - kBefore;
      if (at >= 0 && at < used && at % ys < count) continue;
      EXPECT_EQ(value_of(begin[i]), 7) << "written beside the rows, at " << at;
    }
    std::vector<X> y;
    for (int64_t r = 0; r < rows; ++r) {
      y.insert(y.end(), begin + kBefore + r * ys, begin + kBefore + r * ys + count);
    }
    return y;
  }

 private:
  static const Fenced& memory(int i) {
    constexpr std::size_t kBytes = 1 << 20;
    static const Fenced all[] = {Fenced(kBytes), Fenced(4096),   Fenced(4096),   Fenced(4096),
                                 Fenced(kBytes), Fenced(kBytes), Fenced(kBytes), Fenced(kBytes)};
    return all[i];
  }

  const int64_t addend_stride_;
  const T* map_[3];
  const T* weight_;
  const T* bias_;
  const X* addend_;
};

TEST_P(KernelsKeep, WhatIsNotSelectedWeighsNothing) {
  std::mt19937_64 random(7);
  for (int64_t n = 0; n < 130; ++n) {
    std::vector<uint8_t> selected;
    std::vector<double> given;
    for (int64_t i = 0; i < n; ++i) {
      selected.push_back(static_cast<uint8_t>(integer(random, 0, 2) * 127));
      given.push_back(static_cast<double>(i) + 0.5);
    }
    for (const bool weighs : {false, true}) {
      std::vector<double> weight = given;
      GetParam()->f32.select_weights(selected.data(), n, weighs, weight.data());
      for (std::size_t i = 0; i < weight.size(); ++i) {
        ASSERT_EQ(weight[i], selected[i] == 0 ? 0 : weighs ? given[i] : 1) << i << " of " << n;
      }
    }
  }
}

TEST_P(KernelsAgree, ApplyRows) {
  each_storage([&]<class X>(X) {
    const auto &plain = direct<X>(scalar()), &fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const SomeRows<X> some(family, 1 + n % 3, n, n % 5, random);
        for (const Affine& affine : affines(n)) {
          const auto maps = some.maps(affine, 1);
          const auto wanted =
              some.result(n + 1, 0, [&](auto... of) { plain.apply_rows(of..., maps); });
          ASSERT_TRUE(same(
              wanted, some.result(n + 1, n % 7, [&](auto... of) { fast.apply_rows(of..., maps); })))
              << family.name << ", " << n << " elements";
        }
      }
    });
  });
}

TEST_P(KernelsKeep, RowsAppliedInPlaceAreThoseAppliedElsewhere) {
  each_storage([&]<class X>(X) {
    const auto& fast = direct<X>(*GetParam());
    each_family<X>([&](const Family& family, std::mt19937_64& random) {
      for (const int64_t n : row_lengths()) {
        const SomeRows<X> some(family, 1 + n % 3, n, 0, random);
        for (const Affine& affine : affines(n)) {
          const auto maps = some.maps(affine, 1);
          const auto apart =
              some.result(n + 1, 0, [&](auto... of) { fast.apply_rows(of..., maps); });
          const auto together = some.result(
              n + 1, 0, [&](const X* x, int64_t xs, X* y, int64_t ys, int64_t rows, int64_t count) {
                for (int64_t r = 0; r < rows; ++r) std::copy_n(x + r * xs, count, y + r * ys);
                fast.apply_rows(y, ys, y, ys, rows, count, maps);
              });
          ASSERT_TRUE(same(apart, together)) << family.name << ", " << n << " elements";
        }
      }
    });
  });
}

// y of one element by definition.
template <class X, class T>
T mapped(T x, int64_t row, int64_t i, const RowMaps<T>& by) {
  const int64_t m = row * by.next;
  T y = std::fma(x - by.center[m], by.scale[m], by.shift[m]);
  const T* const w = by.weight ? by.weight + row * by.weight_next + i * by.step : nullptr;
  const T* const b = by.bias ? by.bias + row * by.bias_next + i * by.step : nullptr;
  y = w && b ? std::fma(y, *w, *b) : w ? y * *w : b ? y + *b : y;
  const X* const addend = static_cast<const X*>(by.end.addend);
  if (addend) y += static_cast<T>(value_of(addend[row * by.end.next + i]));
  return by.end.relu && T(0) > y ? T(0) : y;
}

// The maps of row r and those after it.
template <class X, class T>
RowMaps<T> from_row(RowMaps<T> maps, int64_t r) {
  maps.center += r * maps.next, maps.scale += r * maps.next, maps.shift += r * maps.next;
  if (maps.weight) maps.weight += r * maps.weight_next;
  if (maps.bias) maps.bias += r * maps.bias_next;
  if (maps.end.addend) maps.end.addend = static_cast<const X*>(maps.end.addend) + r * maps.end.next;
  return maps;
}

// However many rows there are, whatever goes with them, and wherever x and y start.
TEST_P(KernelsKeep, EveryRowIsMappedByItsDefinition) {
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(X));
    const auto& fast = direct<X>(*GetParam());
    std::mt19937_64 random(1);
    for (const int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 49, 64, 65, 97, 130, 261}) {
      for (const int64_t rows : {1, 2, 3, 4, 7, 32, 33}) {
        const bool dense = integer(random, 0, 1) == 1;
        const SomeRows<X> some({"normal", 0.5, 1, 0}, rows, n, integer(random, 0, kLine), random,
                               dense);
        for (const Affine& affine : affines(n)) {
          for (const int64_t next : {0, 1}) {
            const auto maps = some.maps(affine, next);
            std::vector<X> wanted;
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t i = 0; i < n; ++i) {
                const T x = static_cast<T>(value_of(some.x[r * some.stride + i]));
                wanted.push_back(nearest<X>(mapped<X>(x, r, i, maps)));
              }
            }
            // Rows that start at the same place of a line, and at others.
            for (const int64_t ys : {n, n + 1, (n + kLine) / kLine * kLine}) {
              const int64_t slack = integer(random, 0, kLine);
              const auto what = [&] {
                return std::to_string(rows) + " rows of " + std::to_string(n) + ", " +
                       std::to_string(ys) + " apart, weight " + std::to_string(affine.weight) +
                       ", bias " + std::to_string(affine.bias) + ", step " +
                       std::to_string(affine.step);
              };
              ASSERT_TRUE(same(wanted, some.result(ys, slack, [&](auto... of) {
                fast.apply_rows(of..., maps);
              }))) << what();
              // Past the cache, in two calls that may share a line, fetching what may not be there.
              const auto stream = [&](const X* x, int64_t xs, X* y, int64_t, int64_t all, int64_t) {
                Seam seam;
                const int64_t part = (all + 1) / 2;
                fast.stream_rows(x, xs, y, ys, part, n, maps, n * 999, seam);
                fast.stream_rows(x + part * xs, xs, y + part * ys, ys, all - part, n,
                                 from_row<X>(maps, part), n * 999, seam);
                seam.leave();
                GetParam()->fence();
              };
              ASSERT_TRUE(same(wanted, some.result(ys, slack, stream))) << what() << ", streamed";
            }
          }
        }
      }
    }
  });
}

// Row by row: reduced, divided, mapped; until one is out of range.
TEST_P(KernelsKeep, RowsAreNormalizedAsByTheKernelsOfEachStep) {
  each_storage([&]<class X>(X) {
    if constexpr (std::is_same_v<Computing<X>, float>) {
      const auto& fast = direct<X>(*GetParam());
      const auto& steps = computing<float>(*GetParam());
      each_family<X>([&](const Family& family, std::mt19937_64& random) {
        for (const int64_t n : {1, 7, 31, 33, 96, 97, 130, 513, 768}) {
          const int64_t rows = integer(random, 1, 40), together = integer(random, 1, 32);
          const SomeRows<X> some(family, rows, n, 0, random);
          for (const Reduction reduction : {Reduction::kMoments, Reduction::kSquares}) {
            const int r = static_cast<int>(reduction);
            Affine affine = {};
            affine.weight = integer(random, 0, 1) == 1, affine.bias = integer(random, 0, 1) == 1;
            affine.step = 1;
            const bool relu = integer(random, 0, 1) == 1;
            const auto given = some.maps(affine, 0);
            std::vector<double> mean(static_cast<std::size_t>(rows), 7), rstd(mean);
            RowNorm<float> by = {0,
                                 {static_cast<double>(n), 1e-5, 0, true},
                                 given.weight,
                                 given.bias,
                                 relu,
                                 mean.data(),
                                 rstd.data(),
                                 together};
            int64_t fit = 0;
            const auto wanted = some.result(
                n, 0, [&](const X* x, int64_t xs, X* y, int64_t ys, int64_t all, int64_t) {
                  for (; fit < all; ++fit) {
                    const Moments m = fast.reduce_row[r](x + fit * xs, nullptr, n, by.tiny);
                    double divisor, reciprocal;
                    float center, scale, shift;
                    steps.divide(&m.m2, 1, by.by, &divisor, &reciprocal);
                    if (!steps.make_maps(&m.mean, &m.mean_lo, &reciprocal, nullptr, nullptr, 1,
                                         &center, &scale, &shift)) {
                      break;
                    }
                    RowMaps<float> map = {&center, &scale, &shift, 1, by.weight, by.bias, 1};
                    map.end.relu = relu;
                    fast.apply_rows(x + fit * xs, 0, y + fit * ys, 0, 1, n, map);
                  }
                });
            for (const bool streams : {false, true}) {
              int64_t done = 0;
              const auto result =
                  some.result(n, integer(random, 0, 20),
                              [&](const X* x, int64_t xs, X* y, int64_t ys, int64_t all, int64_t) {
                                Seam seam;
                                done = fast.normalize_rows[r](x, xs, y, ys, all, n, by,
                                                              streams ? &seam : nullptr);
                                seam.leave();
                                GetParam()->fence();
                              });
              ASSERT_EQ(done, fit == rows ? rows : fit / together * together) << family.name;
              const auto first = [&](std::vector<X> y) {
                y.resize(static_cast<std::size_t>(done * n));
                return y;
              };
              ASSERT_TRUE(same(first(wanted), first(result)))
                  << family.name << ", " << rows << " rows of " << n << ", reduction " << r;
              for (int64_t i = 0; i < done; ++i) {
                const Moments m = fast.reduce_row[r](some.x + i * some.stride, nullptr, n, by.tiny);
                double divisor, reciprocal;
                steps.divide(&m.m2, 1, by.by, &divisor, &reciprocal);
                const std::size_t at = static_cast<std::size_t>(i);
                ASSERT_TRUE(same(std::vector<double>{m.mean, reciprocal}, {mean[at], rstd[at]}));
              }
            }
          }
        }
      });
    }
  });
}

// Of x + residual: what rows of float32 give that hold these sums, rounded.
TEST_P(KernelsKeep, SumsOfRowsAreNormalizedAsRowsOfThem) {
  each_storage([&]<class X>(X) {
    if constexpr (std::is_same_v<Computing<X>, float>) {
      const auto& fast = direct<X>(*GetParam());
      const auto& steps = computing<float>(*GetParam());
      const auto& plain = direct<float>(*GetParam());
      const auto round = [&](const std::vector<float>& values) {
        std::vector<X> rounded(values.size());
        const auto narrow = steps.narrow[static_cast<int>(kStored<X>)];
        narrow(values.data(), rounded.data(), std::ssize(values));
        return rounded;
      };
      each_family<X>([&](const Family& family, std::mt19937_64& random) {
        for (const int64_t n : {1, 15, 33, 97, 130, 513, 768}) {
          const int64_t rows = integer(random, 1, 20);
          const SomeRows<X> some(family, rows, n, 0, random);
          std::vector<float> sums, tile(static_cast<std::size_t>(32 * n));
          for (int64_t i = 0; i < rows * n; ++i) {
            const int64_t r = i / n, k = i % n;
            sums.push_back(static_cast<float>(value_of(some.x[r * some.stride + k])) +
                           static_cast<float>(value_of(some.residual(r)[k])));
          }
          Affine affine = {};
          affine.weight = integer(random, 0, 1) == 1, affine.bias = integer(random, 0, 1) == 1;
          affine.step = 1;
          const auto given = some.maps(affine, 0);
          RowNorm<float> by = {0,
                               {static_cast<double>(n), 1e-5, 0, true},
                               given.weight,
                               given.bias,
                               integer(random, 0, 1) == 1,
                               nullptr,
                               nullptr,
                               integer(random, 1, 32)};
          for (const Reduction reduction : {Reduction::kMoments, Reduction::kSquares}) {
            const int r = static_cast<int>(reduction);
            std::vector<float> mapped(sums.size());
            by.sums = {};
            const int64_t fit =
                plain.normalize_rows[r](sums.data(), n, mapped.data(), n, rows, n, by, nullptr);
            for (const bool streams : {false, true}) {
              for (const bool keeps : {false, true}) {
                constexpr int64_t kBeside = 70;
                const X seven = nearest<X>(7);
                std::vector<X> sum(static_cast<std::size_t>(rows * n + 2 * kBeside), seven);
                const int64_t first = integer(random, 0, kBeside);
                Seam sum_seam;
                by.sums = {some.residual(0), n + 1,      keeps ? sum.data() + first : nullptr, n,
                           &sum_seam,        tile.data()};
                int64_t done = 0;
                auto y = some.result(
                    n, integer(random, 0, 20),
                    [&](const X* x, int64_t xs, X* to, int64_t ys, int64_t all, int64_t) {
                      Seam seam;
                      done = fast.normalize_rows[r](x, xs, to, ys, all, n, by,
                                                    streams ? &seam : nullptr);
                      seam.leave();
                      sum_seam.leave();
                      GetParam()->fence();
                    });
                ASSERT_EQ(done, fit) << family.name;
                const auto part = [&](const auto& of, int64_t from, int64_t count) {
                  return std::vector(of.begin() + from, of.begin() + from + count);
                };
                ASSERT_TRUE(same(round(part(mapped, 0, done * n)), part(y, 0, done * n)))
                    << family.name << ", " << rows << " rows of " << n;
                if (!keeps) continue;
                ASSERT_TRUE(same(round(part(sums, 0, done * n)), part(sum, first, done * n)));
                const int64_t end = first + rows * n;
                ASSERT_TRUE(same(part(sum, 0, first),
                                 std::vector<X>(static_cast<std::size_t>(first), seven)));
                ASSERT_TRUE(
                    same(part(sum, end, std::ssize(sum) - end),
                         std::vector<X>(sum.size() - static_cast<std::size_t>(end), seven)));
              }
            }
          }
        }
      });
    }
  });
}

TEST_P(KernelsKeep, MapsEndInReluAsActivationsDo) {
  each_computing([&]<class T>(T) {
    using Limits = std::numeric_limits<T>;
    const auto& k = computing<T>(*GetParam());
    const auto& rows = direct<T>(*GetParam());
    std::vector<T> x;
    for (const T v : {Limits::quiet_NaN(), Limits::infinity(), Limits::max(), Limits::denorm_min(),
                      T(1), T(0)}) {
      for (int i = 0; i < 7; ++i) x.insert(x.end(), {v, -v});
    }
    const int64_t n = std::ssize(x);
    const T zero = 0, one = 1, minus_zero = T(-0.0);  // x as it is
    std::vector<T> wanted(x.size()), result(x.size());
    for (const bool relu : {false, true}) {
      RowMaps<T> maps = {&zero, &one, &minus_zero};
      maps.end.relu = relu;
      k.activate[static_cast<int>(relu ? Activation::kRelu : Activation::kNone)](x.data(), nullptr,
                                                                                 wanted.data(), n);
      rows.apply_rows(x.data(), 0, result.data(), 0, 1, n, maps);
      ASSERT_EQ(std::memcmp(wanted.data(), result.data(), x.size() * sizeof(T)), 0);
    }
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

// Past the cache, from any element of a line on, while what may not be there is fetched.
TEST_P(KernelsKeep, ActivationsPastTheCacheHaveTheBitsOfThoseThroughIt) {
  const Fenced x_memory(1 << 14), y_memory(1 << 14);
  each_computing([&]<class T>(T) {
    constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T)), kMost = 131;
    const auto& kernels = computing<T>(*GetParam());
    std::mt19937_64 random(1);
    for (int64_t n = 0; n <= kMost; ++n) {
      const T* x = x_memory.last(data<T>({"normal", 0, 3, 0}, n + 1, random));
      for (int a = 0; a < kActivations; ++a) {
        std::vector<T> all(static_cast<std::size_t>(n + 2 * kLine), T(7));
        for (int64_t start = 0; start < kLine; ++start) {
          std::vector<T> wanted(all), result(all);
          kernels.activate[a](x, nullptr, wanted.data() + start, n);
          T* y = y_memory.last(all);
          kernels.stream_activate[a](x, y + start, n, y + 99999);
          GetParam()->fence();
          std::copy_n(y, std::ssize(all), result.begin());
          ASSERT_TRUE(same(wanted, result)) << "activation " << a << ", " << n << " elements";
        }
      }
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
  static const Fenced memory[] = {Fenced(1 << 15), Fenced(1 << 15), Fenced(1 << 15)};
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

// Lines may be walked in another order where they are fetched ahead.
TEST_P(KernelsKeep, AddLinesWhateverIsFetched) {
  each_storage([&]<class X>(X) {
    using T = Computing<X>;
    const auto& fast = direct<X>(*GetParam());
    std::mt19937_64 random(3);
    for (const int64_t lanes : {48, 130, 512, 1024, 1031, 2100}) {
      const std::vector<T> center(static_cast<std::size_t>(lanes), T(0.5));
      for (const int64_t lines : {8, 9, 31, 32}) {
        for (const int64_t gap : {0, 3}) {
          const int64_t stride = lanes + gap;
          const auto x = data<X>({"normal", 0.5, 1, 0}, stride * lines, random);
          for (int r = 0; r < kOfFloats; ++r) {
            for (const T* c : {static_cast<const T*>(nullptr), center.data()}) {
              const auto of = [&](int64_t ahead) {
                return sums<2>(lanes, [&](double* sum, double* square) {
                  fast.add_lines[r](x.data(), stride, lines, lanes, c, sum, square, ahead);
                });
              };
              ASSERT_TRUE(same(of(0), of(stride * lines * static_cast<int64_t>(sizeof(X)))))
                  << "reduction " << r << ", " << lines << " x " << lanes;
            }
          }
        }
      }
    }
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
  const Fenced x_memory(1 << 18), y_memory(1 << 18), addend_memory(1 << 18),
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
          const int64_t next = lanes + 2;
          const X* const addend =
              addend_memory.last(data<X>({"addend", 0, 1, 0}, next * lines - 2, random));
          for (const int use : {0, 1, 2, 3}) {
            for (const int64_t step : {0, 1}) {
              for (const int ending : {0, 1, 2, 3}) {
                if (ending > 0 && (use > 0 || step > 0)) continue;
                LaneMaps<T> maps = {lane[0],
                                    lane[1],
                                    lane[2],
                                    use & 1 ? lane[3] : nullptr,
                                    use & 2 ? lane[4] : nullptr,
                                    step};
                maps.end = {ending & 1 ? addend : nullptr, next, ending > 1};
                // The gaps between the lines keep what stands there.
                std::vector<X> wanted(static_cast<std::size_t>(written), nearest<X>(7));
                std::vector<X> result(wanted);
                plain.apply_lines(x, xs, wanted.data(), ys, lines, lanes, maps);
                X* y = y_memory.last(result);
                fast.apply_lines(x, xs, y, ys, lines, lanes, maps);
                std::copy_n(y, written, result.begin());
                ASSERT_TRUE(same(wanted, result)) << family.name << ", " << lines << " x " << lanes;
                std::fill(result.begin(), result.end(), nearest<X>(7));
                y = y_memory.last(result);
                Seam seam;
                fast.stream_lines(x, xs, y, ys, lines, lanes, maps, 999, seam);
                seam.leave();
                GetParam()->fence();
                std::copy_n(y, written, result.begin());
                ASSERT_TRUE(same(wanted, result)) << family.name << ", streamed";
                if (ending == 0) continue;
                // As rows are mapped, whose definition is known.
                for (int64_t i = 0; i < lines; ++i) {
                  for (int64_t l = 0; l < lanes; ++l) {
                    RowMaps<T> by = {lane[0] + l, lane[1] + l, lane[2] + l};
                    by.end = {ending & 1 ? addend + i * next + l : nullptr, 0, ending > 1};
                    X one;
                    plain.apply_rows(x + i * xs + l, 0, &one, 0, 1, 1, by);
                    ASSERT_TRUE(same(std::vector<X>{one},
                                     std::vector<X>{wanted[static_cast<std::size_t>(i * ys + l)]}));
                  }
                }
              }
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
          const auto rows = [&](const auto& k, const auto* p) {
            std::vector<double> m(6);
            k.reduce_rows[r](p, n / 2, 2, (n + 1) / 2, 0x1p-122, &m[0], &m[2], &m[4]);
            return m;
          };
          EXPECT_TRUE(same(rows(narrow, x.data()), rows(wide, copy.data())))
              << family.name << ", reduction " << r << ", 2 rows of " << n / 2;
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
      const float center = static_cast<float>(family.center), scale = 0.7f, shift = -0.1f;
      const RowMaps<float> maps = {&center, &scale, &shift, 0, w.data(), b.data(), 1};
      narrow.apply_rows(x.data(), kLanes, result.data(), kLanes, kLines, kLanes, maps);
      wide.apply_rows(copy.data(), kLanes, y.data(), kLanes, kLines, kLanes, maps);
      round();
      EXPECT_TRUE(same(result, wanted)) << family.name;
      const LaneMaps<float> by = {b.data(), w.data(), b.data(), w.data(), b.data(), 1};
      narrow.apply_lines(x.data(), kLanes, result.data(), kLanes, kLines, kLanes, by);
      wide.apply_lines(copy.data(), kLanes, y.data(), kLanes, kLines, kLanes, by);
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
        const std::vector<T> weight = data<T>({"weight", 1, 1, 0}, n, random);
        const std::vector<T> bias = data<T>({"bias", 0, 1, 0}, n, random);
        const std::vector<double> no_rest(rest.size(), 0.0);
        const std::vector<T> ones(weight.size(), T(1)), zeros(bias.size(), T(-0.0));
        for (int use = 0; use < 8; ++use) {
          std::vector<T> wanted(static_cast<std::size_t>(3 * n)), result(wanted);
          const auto maps = [&](const Kernels<T>& k, std::vector<T>& to, const double* low,
                                const T* w, const T* b) {
            return k.make_maps(mean.data(), low, rstd.data(), w, b, n, to.data(), to.data() + n,
                               to.data() + 2 * n);
          };
          // What is not given is 0, 1 and -0.
          const bool fit = maps(plain, wanted, (use & 1 ? rest : no_rest).data(),
                                (use & 2 ? weight : ones).data(), (use & 4 ? bias : zeros).data());
          ASSERT_EQ(fit, maps(fast, result, use & 1 ? rest.data() : nullptr,
                              use & 2 ? weight.data() : nullptr, use & 4 ? bias.data() : nullptr))
              << family.name << ", " << n;
          ASSERT_TRUE(same(wanted, result)) << family.name << ", " << n;
        }
      }
    });
  });
}

TEST_P(KernelsKeep, MapsThatFloat32CannotHoldAreRefused) {
  const Kernels<float>& k = GetParam()->f32;
  const double zero = 0;
  const float one = 1;
  const auto fits = [&](double mean, double rstd, float weight) {
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
