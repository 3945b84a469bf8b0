// The public C++ API, as a program in C++17 uses it.
#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "normfast/info.hpp"
#include "normfast/normfast.hpp"

namespace {

namespace nf = normfast;

template <class T>
nf::View view(T* data, std::initializer_list<std::int64_t> shape,
              std::initializer_list<std::int64_t> strides) {
  nf::View v;
  v.data = data;
  v.dtype = sizeof(T) == 4 ? nf::DType::kFloat32 : nf::DType::kFloat64;
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
