// The public C++ API, as a program in C++17 uses it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "normfast/info.hpp"
#include "normfast/normfast.hpp"

namespace {

namespace nf = normfast;

template <class T>
constexpr nf::DType kType = nf::DType::kFloat32;
template <>
constexpr nf::DType kType<double> = nf::DType::kFloat64;
template <>
constexpr nf::DType kType<std::uint8_t> = nf::DType::kUInt8;
template <>
constexpr nf::DType kType<bool> = nf::DType::kBool;

template <class T>
nf::View view(T* data, std::initializer_list<std::int64_t> shape,
              std::initializer_list<std::int64_t> strides, nf::DType type = kType<T>) {
  nf::View v;
  v.data = data;
  v.dtype = type;
  v.ndim = 0;
  for (const std::int64_t n : shape) v.shape[v.ndim++] = n;
  int i = 0;
  for (const std::int64_t stride : strides) v.strides[i++] = stride * std::int64_t{sizeof(T)};
  return v;
}

// What calling f throws, as "ValueError: text".
template <class Call>
std::string error_of(Call f) {
  try {
    f();
  } catch (const nf::ValueError& e) {
    return std::string("ValueError: ") + e.what();
  } catch (const nf::TypeError& e) {
    return std::string("TypeError: ") + e.what();
  }
  return "nothing thrown";
}

#define EXPECT_ERROR(call, start) \
  EXPECT_EQ(error_of([&] { call; }).rfind(start, 0), 0u) << error_of([&] { call; })

// Four rows of six in the odd columns and rows of a larger array; 99 around them.
class StridedArray : public testing::Test {
 protected:
  static constexpr int kRows = 4, kColumns = 6, kPitch = 16;

  StridedArray()
      : memory(2 * kRows * kPitch, 99.0f),
        x(view(&memory[kPitch + 1], {kRows, kColumns}, {2 * kPitch, 2})) {
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kColumns; ++c)
        at(memory, r, c) = static_cast<float>((7 * r + 5 * c) % 11);
    }
    before = memory;
  }

  static float& at(std::vector<float>& m, int r, int c) {
    return m[kPitch + 1 + r * 2 * kPitch + c * 2];
  }

  std::vector<float> memory, before;
  nf::View x;
};

TEST_F(StridedArray, IsNormalisedInPlaceAndNothingBesideIt) {
  std::vector<float> weight = {1, 2, 3, 4, 5, 6}, bias = {0, 1, 0, -1, 0, 1};
  double mean[kRows], rstd[kRows];
  nf::LayerNorm options;
  options.out = x;
  options.weight = view(weight.data(), {kColumns}, {1});
  options.bias = view(bias.data(), {kColumns}, {1});
  options.statistics = {mean, rstd};
  nf::layer_norm(x, nf::axis(1), options);

  std::vector<float> wanted = before;
  for (int r = 0; r < kRows; ++r) {
    double sum = 0, square = 0;
    for (int c = 0; c < kColumns; ++c) sum += at(before, r, c);
    for (int c = 0; c < kColumns; ++c) square += std::pow(at(before, r, c) - sum / kColumns, 2);
    EXPECT_NEAR(mean[r], sum / kColumns, 1e-14);
    EXPECT_NEAR(rstd[r], 1 / std::sqrt(square / kColumns + 1e-5), 1e-14);
    for (int c = 0; c < kColumns; ++c) {
      const double y = (at(before, r, c) - mean[r]) * rstd[r] * weight[c] + bias[c];
      at(wanted, r, c) = static_cast<float>(y);
    }
  }
  for (std::size_t i = 0; i < memory.size(); ++i) EXPECT_NEAR(memory[i], wanted[i], 5e-6) << i;
}

TEST_F(StridedArray, GivesItsMeanAndVarianceAlone) {
  double mean[kColumns], var[kColumns];
  nf::MeanVar options;
  options.statistics = {mean, var};
  options.correction = 1;
  nf::mean_var(x, nf::axis(0), options);
  for (int c = 0; c < kColumns; ++c) {
    double sum = 0, square = 0;
    for (int r = 0; r < kRows; ++r) sum += at(before, r, c);
    for (int r = 0; r < kRows; ++r) square += std::pow(at(before, r, c) - sum / kRows, 2);
    EXPECT_NEAR(mean[c], sum / kRows, 1e-14);
    EXPECT_NEAR(var[c], square / (kRows - 1), 1e-13);
  }
  EXPECT_EQ(memory, before);
}

TEST_F(StridedArray, IsUntouchedByACallThatIsRefused) {
  std::vector<float> three(3);
  std::vector<double> running(kColumns, 1.0);
  nf::LayerNorm layer;
  layer.out = x;
  layer.weight = view(three.data(), {3}, {1});
  EXPECT_ERROR(nf::layer_norm(x, nf::axis(1), layer),
               "ValueError: layer_norm: weight has shape (3,), expected (6,)");

  layer.weight = view(running.data(), {kColumns}, {1});
  layer.weight.dtype = nf::DType::kInt64;
  EXPECT_ERROR(nf::layer_norm(x, nf::axis(1), layer), "TypeError: layer_norm: weight is int64");

  layer.weight = nf::View();
  layer.eps = -1;
  EXPECT_ERROR(nf::layer_norm(x, nf::axis(1), layer), "ValueError: layer_norm: eps is -1");

  layer.eps = 1e-5;
  layer.out = view(&memory[kPitch + 3], {kRows, kColumns}, {2 * kPitch, 2});
  EXPECT_ERROR(nf::layer_norm(x, nf::axis(1), layer), "ValueError: layer_norm: out overlaps x");

  layer.out = x;
  layer.out.writable = false;
  EXPECT_ERROR(nf::layer_norm(x, nf::axis(1), layer), "ValueError: layer_norm: out is read-only");

  nf::View integers = x;
  integers.dtype = nf::DType::kInt64;
  EXPECT_ERROR(nf::mean_var(integers, nf::axis(1), nf::MeanVar()),
               "TypeError: mean_var: x is int64");

  nf::BatchNorm batch;
  batch.out = x;
  batch.running_mean = view(running.data(), {kColumns}, {1});
  batch.training = true;
  EXPECT_ERROR(nf::batch_norm(x, nf::axis(1), batch),
               "ValueError: batch_norm: running_var is None");

  nf::GroupNorm group;
  group.out = x;
  EXPECT_ERROR(nf::group_norm(x, 4, 1, group), "ValueError: group_norm: num_groups is 4");

  EXPECT_EQ(memory, before);
  EXPECT_EQ(running, std::vector<double>(kColumns, 1.0));
}

// ---- what is fused ----------------------------------------------------------------------------

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Statistics of the elements that count, in two passes.
struct TwoPasses {
  double mean = 0, var = 0;

  TwoPasses(const std::vector<double>& x, const std::vector<double>& weight) {
    double count = 0;
    for (std::size_t i = 0; i < x.size(); ++i) count += weight[i];
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (weight[i] != 0) mean += weight[i] * x[i] / count;
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (weight[i] != 0) var += weight[i] * std::pow(x[i] - mean, 2) / count;
    }
  }
  explicit TwoPasses(const std::vector<double>& x)
      : TwoPasses(x, std::vector<double>(x.size(), 1)) {}
};

double gelu(double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; }

TEST(LayerNorm, NormalisesTheSumOfXAndTheResidualAndWritesIt) {
  constexpr int kRows = 3, kColumns = 50;
  std::vector<float> x, residual, y(kRows * kColumns), sum(kRows * kColumns);
  for (int i = 0; i < kRows * kColumns; ++i) {
    x.push_back(static_cast<float>(i % 7) - 0.3f);
    residual.push_back(static_cast<float>(i * i % 11) / 3);
  }
  nf::LayerNorm options;
  options.out = view(y.data(), {kRows, kColumns}, {kColumns, 1});
  options.residual = view(residual.data(), {kRows, kColumns}, {kColumns, 1});
  options.sum = view(sum.data(), {kRows, kColumns}, {kColumns, 1});
  options.activation = nf::Activation::kGelu;
  nf::layer_norm(view(x.data(), {kRows, kColumns}, {kColumns, 1}), nf::axis(1), options);
  for (int first = 0; first < kRows * kColumns; first += kColumns) {
    std::vector<double> row;
    for (int i = first; i < first + kColumns; ++i) {
      EXPECT_EQ(sum[i], x[i] + residual[i]);
      row.push_back(sum[i]);
    }
    const TwoPasses wanted(row);
    for (int i = 0; i < kColumns; ++i) {
      const double normal = (row[i] - wanted.mean) / std::sqrt(wanted.var + 1e-5);
      EXPECT_NEAR(y[first + i], gelu(normal), 2e-6);
    }
  }
}

TEST(RmsNorm, AddsTheOffsetToTheWeightAndMayOverwriteTheResidual) {
  constexpr int kColumns = 40;
  std::vector<double> x, weight, sum, y(kColumns), wanted;
  double square = 0;
  for (int i = 0; i < kColumns; ++i) {
    x.push_back(std::cos(i));
    sum.push_back(0.1 * i);
    weight.push_back(0.01 * i);
    wanted.push_back(x.back() + sum.back());
    square += wanted.back() * wanted.back();
  }
  nf::RmsNorm options;
  options.out = view(y.data(), {kColumns}, {1});
  options.residual = options.sum = view(sum.data(), {kColumns}, {1});
  options.weight = view(weight.data(), {kColumns}, {1});
  options.weight_offset = 1;
  options.eps = 1e-6;
  options.default_eps = false;
  nf::rms_norm(view(x.data(), {kColumns}, {1}), nf::axis(0), options);
  EXPECT_EQ(sum, wanted);
  for (int i = 0; i < kColumns; ++i) {
    const double scaled = wanted[i] / std::sqrt(square / kColumns + 1e-6);
    EXPECT_NEAR(y[i], scaled * (1 + weight[i]), 1e-13);
  }
}

TEST(BatchNorm, AddsBeforeTheActivation) {
  constexpr int kBatch = 6, kChannels = 3;
  std::vector<float> x, add, y(kBatch * kChannels);
  for (int i = 0; i < kBatch * kChannels; ++i) {
    x.push_back(static_cast<float>(i * 5 % 13));
    add.push_back(static_cast<float>(i % 4) - 2);
  }
  const auto shaped = [](std::vector<float>& v) {
    return view(v.data(), {kBatch, kChannels}, {kChannels, 1});
  };
  nf::BatchNorm options;
  options.out = shaped(y);
  options.add = shaped(add);
  options.activation = nf::Activation::kRelu;
  options.training = true;
  nf::batch_norm(shaped(x), nf::axis(1), options);
  for (int c = 0; c < kChannels; ++c) {
    std::vector<double> channel;
    for (int i = 0; i < kBatch; ++i) channel.push_back(x[i * kChannels + c]);
    const TwoPasses wanted(channel);
    for (int i = 0; i < kBatch; ++i) {
      const double normal = (channel[i] - wanted.mean) / std::sqrt(wanted.var + 1e-5);
      const double added = normal + add[i * kChannels + c];
      EXPECT_NEAR(y[i * kChannels + c], added > 0 ? added : 0, 3e-6);
    }
  }
}

TEST(Where, WhatIsNotSelectedHasNoEffectAndIsNormalisedAllTheSame) {
  constexpr int kRows = 2, kColumns = 20;
  std::vector<float> x(kRows * kColumns), y(kRows * kColumns);
  bool where[kColumns];
  std::vector<double> weight;
  for (int i = 0; i < kColumns; ++i) where[i] = i % 3 != 0;
  for (int i = 0; i < kColumns; ++i) weight.push_back(where[i] ? 1 : 0);
  for (int i = 0; i < kRows * kColumns; ++i) x[i] = static_cast<float>(i * i % 17);
  x[3] = static_cast<float>(kNaN);
  double mean[kRows], rstd[kRows];
  nf::LayerNorm options;
  options.out = view(y.data(), {kRows, kColumns}, {kColumns, 1});
  options.where = view(where, {kColumns}, {1});
  options.statistics = {mean, rstd};
  nf::layer_norm(view(x.data(), {kRows, kColumns}, {kColumns, 1}), nf::axis(1), options);
  for (int r = 0; r < kRows; ++r) {
    const std::vector<double> row(x.begin() + r * kColumns, x.begin() + (r + 1) * kColumns);
    const TwoPasses wanted(row, weight);
    EXPECT_NEAR(mean[r], wanted.mean, 1e-13);
    EXPECT_NEAR(rstd[r], 1 / std::sqrt(wanted.var + 1e-5), 1e-13);
    for (int i = 0; i < kColumns; ++i) {
      if (std::isnan(row[i])) {
        EXPECT_TRUE(std::isnan(y[r * kColumns + i]));
      } else {
        EXPECT_NEAR(y[r * kColumns + i], (row[i] - mean[r]) * rstd[r], 1e-6);
      }
    }
  }
}

TEST(Where, WithNothingSelectedNothingIsSubtractedOrDividedBy) {
  std::vector<float> x = {1, 2, 3}, y(3);
  bool where[3] = {};
  double mean, rstd;
  nf::LayerNorm options;
  options.out = view(y.data(), {3}, {1});
  options.where = view(where, {3}, {1});
  options.statistics = {&mean, &rstd};
  nf::layer_norm(view(x.data(), {3}, {1}), nf::axis(0), options);
  EXPECT_EQ(y, x);
  EXPECT_EQ(mean, 0);
  EXPECT_EQ(rstd, 1);
}

TEST(SampleWeight, CountsEachRowByItsWeight) {
  constexpr int kRows = 30, kColumns = 4;
  std::vector<double> x(kRows * kColumns), weight, y(kRows * kColumns);
  for (int i = 0; i < kRows * kColumns; ++i) x[i] = std::sin(i) + 1e6;
  for (int i = 0; i < kRows; ++i) weight.push_back(i % 4 * 0.5);
  for (int c = 0; c < kColumns; ++c) x[4 * kColumns + c] = kNaN;  // of weight 0
  double mean[kColumns], deviation[kColumns];
  nf::Standardize options;
  options.out = view(y.data(), {kRows, kColumns}, {kColumns, 1});
  options.sample_weight = view(weight.data(), {kRows, 1}, {1, 1});
  options.statistics = {mean, deviation};
  nf::standardize(view(x.data(), {kRows, kColumns}, {kColumns, 1}), nf::axis(0), options);
  for (int c = 0; c < kColumns; ++c) {
    std::vector<double> column;
    for (int i = 0; i < kRows; ++i) column.push_back(x[i * kColumns + c] - 1e6);
    const TwoPasses wanted(column, weight);
    EXPECT_NEAR(mean[c] - 1e6, wanted.mean, 2e-10);
    EXPECT_NEAR(deviation[c], std::sqrt(wanted.var), 1e-13);
    for (int i = 0; i < kRows; ++i) {
      if (i == 4) continue;
      EXPECT_NEAR(y[i * kColumns + c], (column[i] - wanted.mean) / deviation[c], 1e-12);
    }
  }
}

// ---- other types ------------------------------------------------------------------------------

TEST(HalfTypes, AreReadAndWrittenEachOnItsOwn) {
  // 1 and 3 have mean 2 and deviation 1: the results are exact.
  std::vector<std::uint16_t> x = {0x3c00, 0x4200};       // float16: 1, 3
  std::vector<std::uint16_t> weight = {0x4040, 0x4040};  // bfloat16: 3, 3
  std::vector<float> bias = {0.5f, 0.25f};
  const nf::View in = view(x.data(), {2}, {1}, nf::DType::kFloat16);
  nf::LayerNorm options;
  options.eps = 0;
  options.weight = view(weight.data(), {2}, {1}, nf::DType::kBFloat16);
  options.bias = view(bias.data(), {2}, {1});
  double mean, rstd;
  options.statistics = {&mean, &rstd};

  std::vector<std::uint16_t> narrow(2);
  options.out = view(narrow.data(), {2}, {1}, nf::DType::kFloat16);
  nf::layer_norm(in, nf::axis(0), options);
  EXPECT_EQ(narrow, (std::vector<std::uint16_t>{0xc100, 0x4280}));  // -2.5, 3.25
  EXPECT_EQ(mean, 2);
  EXPECT_EQ(rstd, 1);

  options.out = view(narrow.data(), {2}, {1}, nf::DType::kBFloat16);
  nf::layer_norm(in, nf::axis(0), options);
  EXPECT_EQ(narrow, (std::vector<std::uint16_t>{0xc020, 0x4050}));

  std::vector<float> wide(2);
  options.out = view(wide.data(), {2}, {1});
  nf::layer_norm(in, nf::axis(0), options);
  EXPECT_EQ(wide, (std::vector<float>{-2.5f, 3.25f}));
}

// Two rows of three pixels of three channels, as a camera gives them.
TEST(NormalizeImage, OfBytesBecomesPlanesOfFloats) {
  constexpr int kHeight = 2, kWidth = 3, kPixels = kHeight * kWidth;
  std::vector<std::uint8_t> image;
  for (int i = 0; i < 3 * kPixels; ++i) image.push_back(static_cast<std::uint8_t>(i * 37));
  std::vector<double> mean = {0.485, 0.456, 0.406}, deviation = {0.229, 0.224, 0.225};
  std::vector<float> planes(3 * kPixels);
  nf::NormalizeImage options;
  options.mean = view(mean.data(), {3}, {1});
  options.deviation = view(deviation.data(), {3}, {1});
  options.channel_axis = 2;
  options.out_channel_axis = 0;
  options.out = view(planes.data(), {3, kHeight, kWidth}, {kPixels, kWidth, 1});
  const nf::View x = view(image.data(), {kHeight, kWidth, 3}, {3 * kWidth, 3, 1});
  for (const bool swap : {false, true}) {
    options.swap_rb = swap;
    nf::normalize_image(x, options);
    for (int c = 0; c < 3; ++c) {
      for (int p = 0; p < kPixels; ++p) {
        const double value = image[3 * p + (swap ? 2 - c : c)] / 255.0;
        EXPECT_NEAR(planes[c * kPixels + p], (value - mean[c]) / deviation[c], 1e-6);
      }
    }
  }
}

TEST(MeanVar, OfBytesIsExact) {
  std::vector<std::uint8_t> x(100000, 255);
  x[77] = 254;
  double mean, var;
  nf::MeanVar options;
  options.statistics = {&mean, &var};
  nf::mean_var(view(x.data(), {100000}, {1}), nf::axis(0), options);
  EXPECT_EQ(mean, 254.99999);
  EXPECT_NEAR(var, 9.9999e-6, 1e-20);
}

TEST(Fused, ACallThatIsRefusedWritesNothing) {
  std::vector<float> x = {1, 2, 4}, two(2), y(3, 99.0f), sum(3, 99.0f);
  std::vector<double> weight = {1, -1, 1};
  nf::LayerNorm options;
  options.out = view(y.data(), {3}, {1});
  const nf::View in = view(x.data(), {3}, {1});

  options.residual = view(two.data(), {2}, {1});
  EXPECT_ERROR(nf::layer_norm(in, nf::axis(0), options),
               "ValueError: layer_norm: residual has shape (2,), expected (3,)");
  options.residual = in;
  options.sum = view(sum.data(), {3}, {1});
  options.sum.writable = false;
  EXPECT_ERROR(nf::layer_norm(in, nf::axis(0), options),
               "ValueError: layer_norm: sum is read-only");
  options.residual = options.sum = nf::View();

  options.sample_weight = view(weight.data(), {3}, {1});
  EXPECT_ERROR(nf::layer_norm(in, nf::axis(0), options),
               "ValueError: layer_norm: sample_weight has -1");
  options.sample_weight = nf::View();

  options.where = in;
  EXPECT_ERROR(nf::layer_norm(in, nf::axis(0), options),
               "TypeError: layer_norm: where is float32, expected bool");
  EXPECT_EQ(y, std::vector<float>(3, 99.0f));
  EXPECT_EQ(sum, std::vector<float>(3, 99.0f));
}

TEST(Info, NamesTheVersionAndTheIsaInUse) {
  const nf::Info info = nf::info();
  EXPECT_EQ(info.version, NORMFAST_VERSION);
  EXPECT_EQ(info.isas_built.front(), "scalar");
  for (const std::string& isa : info.isas_available) {
    nf::use_isa(isa);
    EXPECT_EQ(nf::info().isa, isa);
  }
  nf::use_isa(info.isa);
}

TEST(Info, RefusesAnIsaThatDoesNotExist) {
  EXPECT_ERROR(nf::use_isa("nonsense"), "ValueError: isa nonsense: ");
}

}  // namespace
