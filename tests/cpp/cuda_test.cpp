// The kernels of the GPU, run by the emulation on the CPU, against float64. This proves indexing
// and arithmetic; speed, and races between warps, only a GPU can show.
#include <functional>
#include <memory>
#include <numeric>

#include "api/operations.hpp"
#include "cuda/cuda.hpp"
#include "cuda/plan.hpp"
#include "cuda/simt.hpp"
#include "support.hpp"

namespace normfast::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class X>
constexpr DType kType = dtype_of<X>();
template <>
constexpr DType kType<Half> = DType::kFloat16;
template <>
constexpr DType kType<BFloat16> = DType::kBFloat16;

// An array that ends at a page nobody may touch, its axes in some order in memory.
template <class X>
class Tensor {
 public:
  Tensor(std::vector<int64_t> shape, std::vector<int> order, int offset = 0)
      : size_(std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())),
        memory_(std::make_shared<Fenced>(static_cast<std::size_t>(size_ + 1) * sizeof(X) + 64)) {
    // At a multiple of 16 bytes, or some elements before one.
    const auto end = reinterpret_cast<uintptr_t>(memory_->last<char>(0));
    const auto bytes = static_cast<uintptr_t>(size_) * sizeof(X);
    const uintptr_t begin = (end - bytes) / 16 * 16 - static_cast<uintptr_t>(offset) * sizeof(X);
    view_.data = reinterpret_cast<void*>(begin);
    view_.dtype = kType<X>;
    view_.ndim = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), view_.shape);
    if (order.empty()) {
      order.resize(shape.size());
      std::iota(order.begin(), order.end(), 0);
    }
    int64_t step = sizeof(X);
    for (std::size_t i = order.size(); i-- > 0;) {
      view_.strides[order[i]] = step;
      step *= shape[static_cast<std::size_t>(order[i])];
    }
    std::fill_n(static_cast<unsigned char*>(view_.data), bytes, 0xff);
  }
  explicit Tensor(const View& like, int offset = 0)
      : Tensor({like.shape, like.shape + like.ndim}, order_of(like), offset) {}

  const View& view() const { return view_; }
  int64_t size() const { return size_; }
  // In the order of axes, whatever that in memory.
  X& at(int64_t i) const {
    char* p = static_cast<char*>(view_.data);
    for (int d = view_.ndim; d-- > 0; i /= view_.shape[d]) {
      p += i % view_.shape[d] * view_.strides[d];
    }
    return *reinterpret_cast<X*>(p);
  }
  std::vector<X> values() const {
    std::vector<X> all;
    for (int64_t i = 0; i < size_; ++i) all.push_back(at(i));
    return all;
  }
  void fill(const std::vector<X>& values) const {
    for (int64_t i = 0; i < size_; ++i) at(i) = values[static_cast<std::size_t>(i)];
  }

 private:
  static std::vector<int> order_of(const View& v) {
    std::vector<int> order(static_cast<std::size_t>(v.ndim));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return v.strides[a] > v.strides[b]; });
    return order;
  }
  int64_t size_;
  std::shared_ptr<Fenced> memory_;
  View view_;
};

template <class X>
Tensor<X> random_tensor(std::vector<int64_t> shape, std::vector<int> order = {},
                        const Family& family = {"", 0, 1, 0}, int offset = 0, unsigned seed = 1) {
  Tensor<X> t(std::move(shape), std::move(order), offset);
  std::mt19937_64 random(seed);
  if (t.size() > 0) t.fill(data<X>(family, t.size(), random));
  return t;
}

// Work space full of NaN, kept until the end of the test.
class Device {
 public:
  cuda::Launch launch() {
    return {0, nullptr, [this](int64_t bytes) {
              memory_.push_back(std::make_unique<Fenced>(static_cast<std::size_t>(bytes)));
              char* const p = memory_.back()->last<char>((bytes + 255) / 256 * 256);
              std::fill_n(p, bytes, static_cast<char>(0xff));
              return p;
            }};
  }

 private:
  std::vector<std::unique_ptr<Fenced>> memory_;
};

// For each element its statistic's number, in the order of the kept axes.
struct Statistic {
  std::vector<std::size_t> of;
  std::size_t number = 1;

  Statistic(const View& x, Axes reduced, int groups_axis = -1, int64_t groups = 1) {
    for (int64_t i = 0; i < x.size(); ++i) {
      int64_t rest = i, at = 0, step = 1;
      for (int d = x.ndim; d-- > 0; rest /= x.shape[d]) {
        if (reduced & axis(d)) continue;
        const int64_t size = d == groups_axis ? groups : x.shape[d];
        at += rest % x.shape[d] / (x.shape[d] / size) * step;
        step *= size;
      }
      of.push_back(static_cast<std::size_t>(at));
      number = static_cast<std::size_t>(step);
    }
  }
};

struct Expected {
  std::vector<double> mean, var, y;
};

// (x - mean) / sqrt(var + eps) in float64, a constant statistic giving 0.
Expected normalized(const std::vector<double>& x, const Statistic& statistic, double eps) {
  Expected e{std::vector<double>(statistic.number), std::vector<double>(statistic.number), {}};
  std::vector<double> count(statistic.number), first(statistic.number, kNaN);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t s = statistic.of[i];
    if (std::isnan(first[s])) first[s] = x[i];
    e.mean[s] += x[i] - first[s];
    ++count[s];
  }
  for (std::size_t s = 0; s < count.size(); ++s) e.mean[s] = first[s] + e.mean[s] / count[s];
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t s = statistic.of[i];
    e.var[s] += (x[i] - e.mean[s]) * (x[i] - e.mean[s]) / count[s];
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t s = statistic.of[i];
    const double by = std::sqrt(e.var[s] + eps);
    e.y.push_back((x[i] - e.mean[s]) / (by == 0 ? 1 : by));
  }
  return e;
}

// Rounded once: half a unit in the last place.
template <class X>
constexpr double kRounding = kIsHalf<X> ? 1.01 / (2 << kFraction<X>) : 0;
template <>
constexpr double kRounding<float> = 0;

template <class X>
void expect_near(const Tensor<X>& got, const std::vector<double>& expected, double bound) {
  double worst = 0;
  int64_t where = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double e = expected[static_cast<std::size_t>(i)], g = value_of(got.at(i));
    if (std::isnan(e) && std::isnan(g)) continue;
    const double error = std::fabs(g - e) / std::max(1.0, std::fabs(e));
    if (!(error <= worst)) worst = std::isnan(error) ? 1e300 : error, where = i;
  }
  EXPECT_LE(worst, bound + kRounding<X>) << "at " << where << " of " << got.size();
}

void expect_close(const std::vector<double>& got, const std::vector<double>& expected, double bound,
                  double unit = 0) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(std::fabs(got[i] - expected[i]), bound * std::max(std::fabs(expected[i]), unit))
        << "at " << i;
  }
}

template <class X>
class Cuda : public testing::Test {};
using Types = testing::Types<float, Half, BFloat16>;
TYPED_TEST_SUITE(Cuda, Types);

// Parts of a warp, a warp, blocks, rows that no block holds; whole vectors, and not.
constexpr int64_t kRows[] = {1,    2,    3,    4,    7,    8,    16,    31,    64,    100,   128,
                             129,  255,  256,  300,  512,  520,  768,   1000,  1024,  1536,  2049,
                             4096, 5000, 8191, 8192, 8193, 8200, 12288, 16384, 16392, 40001, 40960};

template <class X>
void check_rows(int64_t size, const Family& family, double eps, int offset = 0) {
  const int64_t rows = size > 3000 ? 2 : size > 200 ? 5 : 37;
  const Tensor<X> x = random_tensor<X>({rows, size}, {}, family, offset);
  const Tensor<X> y(x.view(), offset);
  std::vector<double> mean(static_cast<std::size_t>(rows)), rstd(mean.size());
  Device device;
  LayerNorm o;
  o.out = y.view();
  o.eps = eps;
  o.statistics = {mean.data(), rstd.data()};
  cuda::layer_norm(x.view(), axis(1), o, device.launch());
  const std::vector<double> values = values_of(x.values());
  const Expected e = normalized(values, Statistic(x.view(), axis(1)), eps);
  SCOPED_TRACE(std::string(family.name) + " " + std::to_string(size));
  expect_near(y, e.y, 1e-6);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double by = e.var[i] + eps == 0 ? 1 : std::sqrt(e.var[i] + eps);
    EXPECT_NEAR(rstd[i] * by, 1, 1e-6);
    EXPECT_LE(std::fabs(mean[i] - e.mean[i]), 1e-6 * by);
  }
}

TYPED_TEST(Cuda, RowsOfAnyLength) {
  for (const int64_t size : kRows) check_rows<TypeParam>(size, {"normal", 0, 1, 0}, 1e-5);
}

TYPED_TEST(Cuda, RowsWithALargeMean) {
  for (const int64_t size : {5, 64, 768, 4096, 8193, 40960}) {
    check_rows<TypeParam>(size, {"large_mean", kIsHalf<TypeParam> ? 1e3 : 1e6, 1, 0}, 1e-5);
  }
}

TYPED_TEST(Cuda, RowsAtAnyAddress) {
  for (const int64_t size : {16, 256, 768, 8192, 16384}) {
    check_rows<TypeParam>(size, {"normal", 0, 1, 0}, 1e-5, 1);
  }
}

TEST(CudaRows, AnyFiniteMagnitude) {
  for (const int64_t size : {3, 64, 300, 1024, 4096, 9000, 40960}) {
    for (const double spread : {1e30, 1e37, 1e-20, 1e-30, 1e-38, 1e-43}) {
      check_rows<float>(size, {"spread", 0, spread, 0}, 0);
    }
    check_rows<float>(size, {"outlier", 0, 1, 1e6}, 1e-5);
    check_rows<float>(size, {"constant", 0.1, 0, 0}, 0);
  }
}

TYPED_TEST(Cuda, ARowHasTheSameBitsInAnyBatch) {
  for (const int64_t size : {8, 48, 100, 768, 5000, 20480}) {
    const int64_t rows = 7;
    const Tensor<TypeParam> x = random_tensor<TypeParam>({rows, size});
    const Tensor<TypeParam> y(x.view());
    Device device;
    LayerNorm o;
    o.out = y.view();
    cuda::layer_norm(x.view(), axis(1), o, device.launch());
    for (int64_t r = 0; r < rows; ++r) {
      const Tensor<TypeParam> one({1, size}, {}), alone({1, size}, {});
      for (int64_t i = 0; i < size; ++i) one.at(i) = x.at(r * size + i);
      o.out = alone.view();
      cuda::layer_norm(one.view(), axis(1), o, device.launch());
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(bits(alone.at(i)), bits(y.at(r * size + i))) << size << " " << r << " " << i;
      }
    }
  }
}

TYPED_TEST(Cuda, AnyAddressGivesTheSameBits) {
  const auto check = [](const std::vector<int64_t>& shape, const std::vector<int>& order,
                        Axes reduced) {
    const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
    const Tensor<TypeParam> odd = random_tensor<TypeParam>(shape, order, {"", 0, 1, 0}, 1);
    const Tensor<TypeParam> z(odd.view(), 3);
    Device device;
    LayerNorm o;
    o.out = y.view();
    cuda::layer_norm(x.view(), reduced, o, device.launch());
    o.out = z.view();
    cuda::layer_norm(odd.view(), reduced, o, device.launch());
    EXPECT_TRUE(same(y.values(), z.values())) << testing::PrintToString(shape);
  };
  for (const int64_t size : {8, 48, 768, 8192, 20480}) check({3, size}, {}, axis(1));
  for (const Axes reduced : {axis(1), ~axis(1)}) {
    check({5, 16, 16, 16}, {0, 1, 2, 3}, reduced);
    check({5, 16, 16, 16}, {0, 2, 3, 1}, reduced);
  }
}

// More blocks than the emulation's grid has: kernels walk on.
TEST(CudaRows, MoreRowsThanBlocks) {
  const Tensor<float> x = random_tensor<float>({2600, 520});
  const Tensor<float> y(x.view());
  Device device;
  LayerNorm o;
  o.out = y.view();
  cuda::layer_norm(x.view(), axis(1), o, device.launch());
  expect_near(y, normalized(values_of(x.values()), Statistic(x.view(), axis(1)), o.eps).y, 1e-6);
}

TYPED_TEST(Cuda, WeightBiasResidualAndActivationOfRows) {
  for (const int64_t size : {7, 64, 768, 8200, 40960}) {
    const Tensor<TypeParam> x = random_tensor<TypeParam>({5, size});
    const Tensor<float> residual = random_tensor<float>({5, size}, {}, {"", 0, 1, 0}, 0, 2);
    const Tensor<float> sum(residual.view());
    const Tensor<TypeParam> y(x.view());
    const Tensor<Half> weight = random_tensor<Half>({size}, {}, {"", 1, 1, 0}, 0, 3);
    const Tensor<double> bias = random_tensor<double>({size}, {}, {"", 0, 1, 0}, 0, 4);
    Device device;
    LayerNorm o;
    o.out = y.view();
    o.sum = sum.view();
    o.residual = residual.view();
    o.weight = weight.view();
    o.bias = bias.view();
    o.activation = Activation::kRelu;
    cuda::layer_norm(x.view(), axis(1), o, device.launch());
    std::vector<double> s;
    for (int64_t i = 0; i < x.size(); ++i) {
      s.push_back(static_cast<float>(value_of(x.at(i)) + residual.at(i)));
      EXPECT_EQ(sum.at(i), s.back());
    }
    Expected e = normalized(s, Statistic(x.view(), axis(1)), o.eps);
    for (int64_t i = 0; i < x.size(); ++i) {
      double& v = e.y[static_cast<std::size_t>(i)];
      v = std::max(v * value_of(weight.at(i % size)) + bias.at(i % size), 0.0);
    }
    SCOPED_TRACE(size);
    expect_near(y, e.y, 1e-5);
  }
}

TEST(CudaRows, InPlace) {
  for (const int64_t size : {64, 1000, 20480}) {
    const Tensor<float> x = random_tensor<float>({3, size});
    const Tensor<float> r = random_tensor<float>({3, size}, {}, {"", 0, 1, 0}, 0, 2);
    std::vector<double> s;
    for (int64_t i = 0; i < x.size(); ++i) s.push_back(x.at(i) + r.at(i));
    Device device;
    RmsNorm o;
    o.residual = o.sum = r.view();
    o.out = x.view();
    o.weight_offset = 1;
    const Tensor<BFloat16> weight = random_tensor<BFloat16>({size});
    o.weight = weight.view();
    cuda::rms_norm(x.view(), axis(1), o, device.launch());
    std::vector<double> expected(s.size());
    for (std::size_t row = 0; row < 3; ++row) {
      double q = 0;
      for (int64_t i = 0; i < size; ++i) {
        const double v = s[row * static_cast<std::size_t>(size) + static_cast<std::size_t>(i)];
        q += v * v / static_cast<double>(size);
      }
      for (int64_t i = 0; i < size; ++i) {
        const auto k = row * static_cast<std::size_t>(size) + static_cast<std::size_t>(i);
        expected[k] = s[k] / std::sqrt(q + 0x1p-23) * (value_of(weight.at(i)) + 1);
      }
    }
    expect_near(x, expected, 3e-6);
    expect_near(r, s, 1e-7);
  }
}

struct Images {
  int64_t n, c, h, w;
};
constexpr Images kImages[] = {{2, 3, 4, 5},   {4, 8, 7, 7},    {3, 16, 8, 8},   {2, 5, 13, 13},
                              {5, 4, 16, 16}, {40, 64, 3, 1},  {1, 6, 5, 5},    {200, 20, 3, 3},
                              {9, 3, 40, 40}, {3, 48, 12, 12}, {2, 1030, 2, 3}, {600, 5, 1, 7}};
const std::vector<int> kFirst = {0, 1, 2, 3}, kLast = {0, 2, 3, 1};

// Calls body with each shape in both layouts.
void for_images(
    const std::function<void(const std::vector<int64_t>&, const std::vector<int>&)>& body) {
  for (const Images& i : kImages) {
    for (const auto& order : {kFirst, kLast}) {
      SCOPED_TRACE(testing::Message() << i.n << " " << i.c << " " << i.h << " " << i.w
                                      << (order == kLast ? ", channels last" : ""));
      body({i.n, i.c, i.h, i.w}, order);
    }
  }
}

int64_t channel_of(const View& x, int64_t i) { return i / (x.shape[2] * x.shape[3]) % x.shape[1]; }

// A weight and a bias a channel, applied to what was expected.
struct Affine {
  Tensor<float> weight, bias;
  explicit Affine(int64_t channels)
      : weight(random_tensor<float>({channels}, {}, {"", 1, 0.5, 0}, 0, 7)),
        bias(random_tensor<float>({channels}, {}, {"", 0, 0.5, 0}, 0, 8)) {}
  template <class Options>
  void set(Options& o) const {
    o.weight = weight.view();
    o.bias = bias.view();
  }
  void apply(const View& x, std::vector<double>& y) const {
    for (int64_t i = 0; i < x.size(); ++i) {
      double& v = y[static_cast<std::size_t>(i)];
      v = v * weight.at(channel_of(x, i)) + bias.at(channel_of(x, i));
    }
  }
};

template <class X>
void check_batch_norm(const std::vector<int64_t>& shape, const std::vector<int>& order,
                      const Family& family, double unit) {
  const int64_t channels = shape[1];
  const Tensor<X> x = random_tensor<X>(shape, order, family), y(x.view());
  const Tensor<float> mean = random_tensor<float>({channels}), var({channels}, {});
  for (int64_t c = 0; c < channels; ++c) var.at(c) = 1, mean.at(c) = 0;
  const Affine affine(channels);
  const Tensor<int64_t> batches(std::vector<int64_t>(), {});
  batches.at(0) = 4;
  Device device;
  BatchNorm o;
  o.training = true;
  o.cumulative = true;
  o.out = y.view();
  o.running_mean = mean.view();
  o.running_var = var.view();
  o.num_batches_tracked = batches.view();
  affine.set(o);
  std::vector<double> batch_mean(static_cast<std::size_t>(channels)), rstd(batch_mean.size());
  o.statistics = {batch_mean.data(), rstd.data()};
  cuda::batch_norm(x.view(), axis(1), o, device.launch());
  Expected e = normalized(values_of(x.values()), Statistic(x.view(), ~axis(1)), o.eps);
  affine.apply(x.view(), e.y);
  expect_near(y, e.y, 4e-6);
  EXPECT_EQ(batches.at(0), 5);
  const double n = static_cast<double>(x.size()) / static_cast<double>(channels);
  for (std::size_t c = 0; c < e.mean.size(); ++c) {
    EXPECT_LE(std::fabs(batch_mean[c] - e.mean[c]), 1e-6 * unit);
    EXPECT_NEAR(rstd[c] * std::sqrt(e.var[c] + o.eps), 1, 1e-6);
    const auto at = static_cast<int64_t>(c);
    EXPECT_NEAR(mean.at(at), 0.2 * e.mean[c], 2e-7 * std::fabs(e.mean[c]) + 1e-6 * unit);
    const double kept = 0.8 + 0.2 * e.var[c] * n / (n - 1);
    if (std::isfinite(static_cast<float>(kept))) {
      EXPECT_NEAR(var.at(at) / kept, 1, 1e-6);
    }
  }
}

TYPED_TEST(Cuda, BatchNormInTraining) {
  for_images([](const auto& shape, const auto& order) {
    check_batch_norm<TypeParam>(shape, order, {"normal", 0, 1, 0}, 1);
  });
}

TEST(CudaImages, BatchNormOfAnyFiniteMagnitude) {
  for_images([](const auto& shape, const auto& order) {
    check_batch_norm<float>(shape, order, {"large_mean", 1e6, 1, 0}, 1);
    check_batch_norm<float>(shape, order, {"large", 0, 1e30, 0}, 1e30);
  });
}

TYPED_TEST(Cuda, BatchNormInEvaluationAddsAndActivates) {
  for_images([](const auto& shape, const auto& order) {
    const int64_t channels = shape[1];
    const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
    const Tensor<TypeParam> add = random_tensor<TypeParam>(shape, order, {"", 0, 1, 0}, 0, 2);
    const Tensor<float> mean = random_tensor<float>({channels}, {}, {"", 0, 1, 0}, 0, 5);
    const Tensor<double> var({channels}, {});
    for (int64_t c = 0; c < channels; ++c) var.at(c) = 0.5 + static_cast<double>(c % 7);
    const Affine affine(channels);
    for (const bool wide : {false, true}) {
      Tensor<float> narrow({channels}, {});
      for (int64_t c = 0; c < channels; ++c) narrow.at(c) = static_cast<float>(var.at(c));
      std::vector<double> given(static_cast<std::size_t>(channels)), rstd(given.size());
      Device device;
      BatchNorm o;
      o.out = y.view();
      o.add = add.view();
      o.activation = Activation::kRelu;
      o.running_mean = mean.view();
      o.running_var = wide ? var.view() : narrow.view();
      o.statistics = {given.data(), rstd.data()};
      affine.set(o);
      cuda::batch_norm(x.view(), axis(1), o, device.launch());
      std::vector<double> e;
      for (int64_t i = 0; i < x.size(); ++i) {
        const int64_t c = channel_of(x.view(), i);
        e.push_back((value_of(x.at(i)) - mean.at(c)) / std::sqrt(var.at(c) + o.eps));
      }
      affine.apply(x.view(), e);
      for (int64_t i = 0; i < x.size(); ++i) {
        double& v = e[static_cast<std::size_t>(i)];
        v = std::max(v + value_of(add.at(i)), 0.0);
      }
      expect_near(y, e, 3e-6);
      for (int64_t c = 0; c < channels; ++c) {
        EXPECT_EQ(given[static_cast<std::size_t>(c)], mean.at(c));
        EXPECT_NEAR(rstd[static_cast<std::size_t>(c)] * std::sqrt(var.at(c) + o.eps), 1, 1e-12);
      }
    }
  });
}

TYPED_TEST(Cuda, GroupNorm) {
  for_images([](const auto& shape, const auto& order) {
    for (const int64_t groups : {int64_t{1}, int64_t{2}, shape[1]}) {
      if (shape[1] % groups != 0) continue;
      const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
      const Affine affine(shape[1]);
      const auto number = static_cast<std::size_t>(shape[0] * groups);
      std::vector<double> mean(number), rstd(number);
      Device device;
      GroupNorm o;
      o.out = y.view();
      o.statistics = {mean.data(), rstd.data()};
      affine.set(o);
      cuda::group_norm(x.view(), groups, 1, o, device.launch());
      Expected e = normalized(values_of(x.values()),
                              Statistic(x.view(), axis(2) | axis(3), 1, groups), o.eps);
      affine.apply(x.view(), e.y);
      expect_near(y, e.y, 3e-6);
      expect_close(mean, e.mean, 1e-6, 1);
    }
  });
}

TYPED_TEST(Cuda, InstanceNormAveragesOverSamples) {
  for_images([](const auto& shape, const auto& order) {
    const int64_t channels = shape[1];
    const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
    const Tensor<float> mean({channels}, {}), var({channels}, {});
    for (int64_t c = 0; c < channels; ++c) mean.at(c) = 0, var.at(c) = 1;
    Device device;
    InstanceNorm o;
    o.out = y.view();
    o.running_mean = mean.view();
    o.running_var = var.view();
    cuda::instance_norm(x.view(), 1, o, device.launch());
    const Expected e =
        normalized(values_of(x.values()), Statistic(x.view(), axis(2) | axis(3)), o.eps);
    expect_near(y, e.y, 1e-6);
    const double n = static_cast<double>(shape[2] * shape[3]);
    for (int64_t c = 0; c < channels; ++c) {
      double m = 0, v = 0;
      for (int64_t s = 0; s < shape[0]; ++s) {
        m += e.mean[static_cast<std::size_t>(s * channels + c)];
        v += e.var[static_cast<std::size_t>(s * channels + c)] * n / (n - 1);
      }
      const double samples = static_cast<double>(shape[0]);
      EXPECT_NEAR(mean.at(c), 0.1 * m / samples, 1e-6);
      EXPECT_NEAR(var.at(c), 0.9 + 0.1 * v / samples, 1e-6 * (1 + v / samples));
    }
  });
}

TYPED_TEST(Cuda, AnyAxesThatLieTogether) {
  for_images([](const auto& shape, const auto& order) {
    for (const Axes reduced : {axis(1), axis(0), axis(3), axis(2) | axis(3), all_axes(4)}) {
      const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
      const Statistic statistic(x.view(), reduced);
      std::vector<double> mean(statistic.number), rstd(statistic.number);
      Device device;
      LayerNorm o;
      o.out = y.view();
      o.statistics = {mean.data(), rstd.data()};
      SCOPED_TRACE(reduced);
      cuda::layer_norm(x.view(), reduced, o, device.launch());
      const Expected e = normalized(values_of(x.values()), statistic, o.eps);
      expect_near(y, e.y, 1e-6);
      expect_close(mean, e.mean, 1e-6, 1);
    }
  });
}

TYPED_TEST(Cuda, UnitVectors) {
  for_images([](const auto& shape, const auto& order) {
    for (const Norm norm : {Norm::kL1, Norm::kL2, Norm::kMax}) {
      for (const Axes reduced : {axis(1), axis(2) | axis(3), all_axes(4)}) {
        const Tensor<TypeParam> x = random_tensor<TypeParam>(shape, order), y(x.view());
        const Statistic statistic(x.view(), reduced);
        std::vector<double> norms(statistic.number), expected(statistic.number), e;
        Device device;
        Normalize o;
        o.norm = norm;
        o.out = y.view();
        o.statistics.scale = norms.data();
        cuda::normalize(x.view(), reduced, o, device.launch());
        for (int64_t i = 0; i < x.size(); ++i) {
          double& s = expected[statistic.of[static_cast<std::size_t>(i)]];
          const double v = std::fabs(value_of(x.at(i)));
          s = norm == Norm::kL1 ? s + v : norm == Norm::kL2 ? s + v * v : std::max(s, v);
        }
        for (double& s : expected) s = norm == Norm::kL2 ? std::sqrt(s) : s;
        for (int64_t i = 0; i < x.size(); ++i) {
          e.push_back(value_of(x.at(i)) / expected[statistic.of[static_cast<std::size_t>(i)]]);
        }
        SCOPED_TRACE(static_cast<int>(norm));
        expect_near(y, e, 1e-6);
        expect_close(norms, expected, 1e-6);
      }
    }
  });
}

TEST(CudaImages, WeightNormAndStandardizeAndMeanVar) {
  for_images([](const auto& shape, const auto& order) {
    const Tensor<float> x = random_tensor<float>(shape, order, {"", 1e3, 1, 0}), y(x.view());
    const Statistic channel(x.view(), ~axis(1));
    Device device;
    const Tensor<float> g = random_tensor<float>({shape[1]});
    WeightNorm w;
    w.out = y.view();
    cuda::weight_norm(x.view(), g.view(), axis(1), w, device.launch());
    std::vector<double> norm(channel.number), e;
    for (int64_t i = 0; i < x.size(); ++i) {
      norm[channel.of[static_cast<std::size_t>(i)]] += std::pow(x.at(i), 2);
    }
    for (int64_t i = 0; i < x.size(); ++i) {
      const std::size_t c = channel.of[static_cast<std::size_t>(i)];
      e.push_back(x.at(i) / std::sqrt(norm[c]) * g.at(static_cast<int64_t>(c)));
    }
    expect_near(y, e, 1e-6);

    std::vector<double> mean(channel.number), deviation(channel.number), var(channel.number);
    Standardize s;
    s.out = y.view();
    s.statistics = {mean.data(), deviation.data()};
    cuda::standardize(x.view(), ~axis(1), s, device.launch());
    const Expected expected = normalized(values_of(x.values()), channel, 0);
    expect_near(y, expected.y, 1e-6);
    Tensor<double> known({1, shape[1], 1, 1}, {}), by({1, shape[1], 1, 1}, {});
    known.fill(mean);
    by.fill(deviation);
    Standardize again;
    again.out = y.view();
    again.mean = known.view();
    again.deviation = by.view();
    cuda::standardize(x.view(), ~axis(1), again, device.launch());
    expect_near(y, expected.y, 1e-6);

    MeanVar m;
    m.correction = 1;
    m.statistics = {mean.data(), var.data()};
    cuda::mean_var(x.view(), ~axis(1), m, device.launch());
    expect_close(mean, expected.mean, 1e-9);
    const double n = static_cast<double>(x.size()) / static_cast<double>(shape[1]);
    for (std::size_t c = 0; c < var.size(); ++c) {
      EXPECT_NEAR(var[c] / (expected.var[c] * n / (n - 1)), 1, 1e-6);
    }
  });
}

// Blocks, warps and threads in the opposite order: nothing depends on who comes first.
TEST(CudaOrder, ChangesNoBits) {
  for_images([](const auto& shape, const auto& order) {
    const Tensor<Half> x = random_tensor<Half>(shape, order), y(x.view()), z(x.view());
    for (const Axes reduced : {axis(1), axis(2) | axis(3), ~axis(1)}) {
      Device device;
      LayerNorm o;
      for (const Tensor<Half>* out : {&y, &z}) {
        cuda::emulation::backwards = out == &z;
        o.out = out->view();
        cuda::layer_norm(x.view(), reduced, o, device.launch());
      }
      cuda::emulation::backwards = false;
      EXPECT_TRUE(same(y.values(), z.values()));
    }
  });
}

TEST(CudaActivations, AreExact) {
  Tensor<float> x({1, 4001}, {}), y(x.view()), mean({4001}, {}), var({4001}, {});
  for (int64_t i = 0; i < x.size(); ++i) {
    x.at(i) = static_cast<float>(i - 2000) / 50;
    mean.at(i) = 0;
    var.at(i) = 1;
  }
  x.at(0) = -std::numeric_limits<float>::infinity();
  x.at(4000) = std::numeric_limits<float>::infinity();
  for (const Activation a :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
    Device device;
    BatchNorm o;
    o.eps = 0;
    o.out = y.view();
    o.running_mean = mean.view();
    o.running_var = var.view();
    o.activation = a;
    cuda::batch_norm(x.view(), axis(1), o, device.launch());
    for (int64_t i = 0; i < x.size(); ++i) {
      const double v = x.at(i);
      double e = std::max(v, 0.0);
      if (a == Activation::kGelu) e = v * 0.5 * std::erfc(-v * std::sqrt(0.5));
      if (a == Activation::kGeluTanh) {
        e = v / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
      }
      if (a == Activation::kSilu) e = v / (1 + std::exp(-v));
      if (i == 0) e = 0;
      if (i == 4000) e = v;
      if (i == 4000) {
        EXPECT_EQ(y.at(i), e);
      } else {
        EXPECT_LE(std::fabs(y.at(i) - e), 3e-7 * std::max(1.0, std::fabs(e))) << v;
      }
    }
  }
}

TEST(CudaValues, NaNStaysInItsStatistic) {
  for_images([](const auto& shape, const auto& order) {
    const Tensor<float> x = random_tensor<float>(shape, order), y(x.view());
    x.at(x.size() / 2) = std::numeric_limits<float>::quiet_NaN();
    for (const Axes reduced : {axis(1), axis(2) | axis(3), ~axis(1)}) {
      const Statistic statistic(x.view(), reduced);
      Device device;
      LayerNorm o;
      o.out = y.view();
      cuda::layer_norm(x.view(), reduced, o, device.launch());
      const std::size_t bad = statistic.of[static_cast<std::size_t>(x.size() / 2)];
      for (int64_t i = 0; i < x.size(); ++i) {
        EXPECT_EQ(std::isnan(y.at(i)), statistic.of[static_cast<std::size_t>(i)] == bad);
      }
    }
  });
}

TEST(CudaValues, NothingIsDoneForNothing) {
  const Tensor<float> x({0, 3, 4, 4}, {}), y(x.view()), mean({3}, {}), var({3}, {});
  for (int64_t c = 0; c < 3; ++c) mean.at(c) = 5, var.at(c) = 6;
  const Tensor<int64_t> batches(std::vector<int64_t>(), {});
  batches.at(0) = 4;
  std::vector<double> m(3, 7), r(3, 7);
  Device device;
  BatchNorm o;
  o.training = true;
  o.out = y.view();
  o.running_mean = mean.view();
  o.running_var = var.view();
  o.num_batches_tracked = batches.view();
  o.statistics = {m.data(), r.data()};
  cuda::batch_norm(x.view(), axis(1), o, device.launch());
  EXPECT_EQ(mean.at(2), 5);
  EXPECT_EQ(var.at(2), 6);
  EXPECT_EQ(batches.at(0), 4);
  EXPECT_EQ(m, std::vector<double>(3, 0));
  EXPECT_EQ(r, std::vector<double>(3, 1));
  o.statistics = {};
  const int64_t before = cuda::emulation::launches();
  cuda::batch_norm(x.view(), axis(1), o, device.launch());
  EXPECT_EQ(cuda::emulation::launches(), before);
}

TEST(CudaErrors, ComeBeforeTheFirstKernel) {
  const Tensor<float> x = random_tensor<float>({4, 3, 5, 6}), y(x.view());
  const Tensor<float> other({4, 3, 5, 6}, kLast);
  const Tensor<double> wide({4, 3, 5, 6}, {});
  const int64_t before = cuda::emulation::launches();
  Device device;
  const auto fails = [&](const View& in, Axes reduced, const View& out, const char* what) {
    LayerNorm o;
    o.out = out;
    try {
      cuda::layer_norm(in, reduced, o, device.launch());
      ADD_FAILURE() << "no error: " << what;
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find(what), std::string::npos) << e.what();
    }
  };
  fails(x.view(), axis(3), other.view(), "out does not lie in memory as x does");
  fails(wide.view(), axis(3), wide.view(), "x is float64");
  fails(x.view(), axis(3), wide.view(), "out is float64");
  fails(x.view(), axis(0) | axis(2), y.view(), "more than two places");
  View gaps = x.view();
  gaps.shape[3] = 5;
  fails(gaps, axis(3), gaps, "x has gaps");
  EXPECT_EQ(cuda::emulation::launches(), before);
}

// What a statistic's neighbours are does not change how it is cut.
TEST(CudaPlan, CutsDependOnTheStatisticAlone) {
  for (const bool last : {false, true}) {
    cuda::Task tasks[2];
    for (const int64_t batch : {1, 1000}) {
      // Only how it lies is looked at.
      Tensor<float> one({2, 8, 30, 30}, last ? kLast : kFirst);
      View view = one.view();
      view.shape[0] = batch;
      cuda::Task& task = tasks[batch > 1];
      task.x = {static_cast<char*>(view.data), view.dtype};
      MeanVar o;
      Problem problem("mean_var", view, axis(2) | axis(3), o, Accept::kFloats, "x",
                      Memory::kDevice);
      cuda::lay_out(problem, task);
      if (task.form != cuda::Form::kRow) cuda::cut_partial(task);
    }
    EXPECT_EQ(tasks[0].form, tasks[1].form);
    EXPECT_EQ(tasks[0].form, last ? cuda::Form::kLanes : cuda::Form::kRow);
    EXPECT_EQ(tasks[0].width, tasks[1].width);
    EXPECT_EQ(tasks[0].chunk, tasks[1].chunk);
    EXPECT_EQ(tasks[0].across, tasks[1].across);
  }
}

TEST(CudaPlan, ABlockHoldsARow) {
  for (const int width : {1, 4, 8}) {
    for (int64_t size = 1; size <= cuda::most_row(width); size += size < 600 ? 1 : 333) {
      const cuda::RowCut cut = cuda::cut_row(size, width);
      EXPECT_GE(int64_t{cut.group} * cut.vectors * width, size);
      EXPECT_LE(cut.group * cut.rows_per_block, cuda::row_threads(width, cut.vectors));
      EXPECT_LE(cut.vectors * width, cuda::kValues);
      EXPECT_TRUE(cut.group % 32 == 0 || 32 % cut.group == 0);
    }
  }
}

}  // namespace
}  // namespace normfast::test
