// The results of a fixed set of calls, as digests in bits.txt: what every instruction set, compiler
// and machine must give. Where results are meant to change, this writes the digests anew:
//   NORMFAST_RENEW_BITS=1 ctest --test-dir build/dev -R ^Bits
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <ios>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "normfast/info.hpp"
#include "normfast/normfast.hpp"

namespace {

namespace nf = normfast;

constexpr nf::DType kTypes[] = {nf::DType::kFloat32, nf::DType::kFloat64, nf::DType::kFloat16,
                                nf::DType::kBFloat16};
constexpr std::int64_t kLengths[] = {3, 16, 33, 96, 196, 768, 5000};

// ---- numbers, made and read as bits: nothing here rounds --------------------------------------

struct Format {
  int fraction;        // its bits
  std::uint64_t bias;  // the exponent of 1

  std::uint64_t sign() const { return (2 * bias + 2) << fraction; }
  std::uint64_t infinity() const { return (2 * bias + 1) << fraction; }
};

Format format_of(nf::DType type) {
  switch (type) {
    case nf::DType::kFloat64:
      return {52, 1023};
    case nf::DType::kFloat16:
      return {10, 15};
    case nf::DType::kBFloat16:
      return {7, 127};
    default:
      return {23, 127};
  }
}

// SplitMix64.
class Random {
 public:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_ = 0;
};

// Around 0; far from it; of every magnitude; with zeros, infinities and NaNs.
enum Kind { kOrdinary, kOffset, kWide, kSpecial };
constexpr int kKinds = 4;

std::uint64_t number(nf::DType type, Kind kind, Random& random) {
  const Format format = format_of(type);
  const std::uint64_t any = random.next(), one = std::uint64_t{1} << format.fraction;
  const std::uint64_t fraction = random.next() & (one - 1);
  const std::uint64_t sign = kind != kOffset && any >> 63 ? format.sign() : 0;
  if (kind == kSpecial && any % 8 == 0) {
    return sign + (any % 256 != 0 ? 0 : format.infinity() + (any % 512 != 0 ? 0 : fraction));
  }
  const std::uint64_t exponent = kind == kOffset ? format.bias + 6
                                 : kind == kWide ? any % (2 * format.bias + 1)
                                                 : format.bias - 4 + any % 6;
  return sign + exponent * one + fraction;
}

// FNV-1a. A NaN counts as any other.
class Digest {
 public:
  void add(nf::DType type, std::uint64_t bits) {
    const Format format = format_of(type);
    const std::uint64_t magnitude = bits & (format.sign() - 1);
    if (magnitude > format.infinity()) bits = format.infinity() + 1;
    for (std::int64_t i = 0; i < nf::size_of(type); ++i, bits >>= 8) {
      value_ = (value_ ^ (bits & 0xff)) * 0x100000001b3;
    }
  }
  void add(const std::vector<double>& values) {
    for (const double v : values) {
      std::uint64_t bits;
      std::memcpy(&bits, &v, sizeof bits);
      add(nf::DType::kFloat64, bits);
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

// ---- arrays -----------------------------------------------------------------------------------

// In C order, filled with zeros.
class Array {
 public:
  Array(nf::DType type, std::vector<std::int64_t> shape) : type_(type), shape_(std::move(shape)) {
    for (const std::int64_t n : shape_) size_ *= n;
    bytes_.resize(static_cast<std::size_t>(size_ * nf::size_of(type)));
  }

  void fill(Kind kind, Random& random) {
    for (std::int64_t i = 0; i < size_; ++i) set(i, number(type_, kind, random));
  }
  // Numbers of every kind in turn along an axis.
  void fill_along(int axis, Random& random) {
    std::int64_t inner = 1;
    for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < shape_.size(); ++i) {
      inner *= shape_[i];
    }
    const std::int64_t n = shape_[static_cast<std::size_t>(axis)];
    for (std::int64_t i = 0; i < size_; ++i) {
      set(i, number(type_, static_cast<Kind>(i / inner % n % kKinds), random));
    }
  }

  nf::View view() {
    nf::View v;
    v.data = bytes_.data();
    v.dtype = type_;
    v.ndim = static_cast<int>(shape_.size());
    std::int64_t stride = nf::size_of(type_);
    for (int i = v.ndim - 1; i >= 0; --i) {
      v.shape[i] = shape_[static_cast<std::size_t>(i)];
      v.strides[i] = stride;
      stride *= v.shape[i];
    }
    return v;
  }

  void add_to(Digest& digest) const {
    for (std::int64_t i = 0; i < size_; ++i) digest.add(type_, bits(i));
  }

 private:
  // Little-endian, as every processor is that has vectors here.
  void set(std::int64_t i, std::uint64_t bits) {
    std::memcpy(&bytes_[offset(i)], &bits, static_cast<std::size_t>(nf::size_of(type_)));
  }
  std::uint64_t bits(std::int64_t i) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &bytes_[offset(i)], static_cast<std::size_t>(nf::size_of(type_)));
    return bits;
  }
  std::size_t offset(std::int64_t i) const {
    return static_cast<std::size_t>(i * nf::size_of(type_));
  }

  nf::DType type_;
  std::vector<std::int64_t> shape_;
  std::int64_t size_ = 1;
  std::vector<unsigned char> bytes_;
};

// ---- calls ------------------------------------------------------------------------------------

// The arrays of one call, made in turn, and the digest of what it leaves in them.
class Call {
 public:
  Call(nf::DType type, std::int64_t n, Digest& digest) : n(n), type_(type), digest_(digest) {}

  const std::int64_t n;

  nf::View zeros(std::vector<std::int64_t> shape) {
    return arrays_.emplace_back(type_, std::move(shape)).view();
  }
  nf::View array(std::vector<std::int64_t> shape, Kind kind = kOrdinary) {
    const nf::View v = zeros(std::move(shape));
    arrays_.back().fill(kind, random_);
    return v;
  }
  nf::View mixed(std::vector<std::int64_t> shape, int axis) {
    const nf::View v = zeros(std::move(shape));
    arrays_.back().fill_along(axis, random_);
    return v;
  }
  nf::View rows() { return mixed({kKinds, n}, 0); }
  // More than a vector of them, and not a multiple of one.
  nf::View columns() { return mixed({n, 21}, 1); }
  // Every second element of rows.
  nf::View strided() {
    nf::View v = mixed({kKinds, 2 * n + 1}, 0);
    v.data = static_cast<char*>(v.data) + nf::size_of(v.dtype);
    v.shape[1] = n;
    v.strides[1] *= 2;
    return v;
  }

  // operation(options), with an output like x and room for statistics.
  template <class Options, class Operation>
  void run(const nf::View& x, std::int64_t statistics, Options options, Operation operation) {
    std::vector<double> mean(static_cast<std::size_t>(statistics)), scale(mean);
    options.out = zeros({x.shape, x.shape + x.ndim});
    options.statistics = {mean.data(), scale.data()};
    operation(options);
    for (const Array& a : arrays_) a.add_to(digest_);
    digest_.add(mean);
    digest_.add(scale);
  }

 private:
  nf::DType type_;
  Digest& digest_;
  Random random_;
  std::vector<Array> arrays_;
};

// Of matrices: the axis averaged over is of length n.
void layer_norm(Call& call, const nf::View& x, int axis, nf::LayerNorm options = {}) {
  options.weight = call.array({call.n});
  options.bias = call.array({call.n});
  call.run(x, x.shape[1 - axis], options,
           [&](const nf::LayerNorm& all) { nf::layer_norm(x, nf::axis(axis), all); });
}

void rms_norm(Call& call, const nf::View& x, int axis, nf::RmsNorm options = {}) {
  options.weight = call.array({call.n});
  call.run(x, x.shape[1 - axis], options,
           [&](const nf::RmsNorm& all) { nf::rms_norm(x, nf::axis(axis), all); });
}

void mean_var(Call& call, const nf::View& x, int axis) {
  call.run(x, x.shape[1 - axis], nf::MeanVar(), [&](nf::MeanVar all) {
    all.out = nf::View();
    nf::mean_var(x, nf::axis(axis), all);
  });
}

void standardize(Call& call, const nf::View& x, int axis) {
  nf::Standardize options;
  options.correction = 1;
  call.run(x, x.shape[1 - axis], options,
           [&](const nf::Standardize& all) { nf::standardize(x, nf::axis(axis), all); });
}

void normalize(Call& call, const nf::View& x, int axis, nf::Norm norm) {
  nf::Normalize options;
  options.norm = norm;
  call.run(x, x.shape[1 - axis], options,
           [&](const nf::Normalize& all) { nf::normalize(x, nf::axis(axis), all); });
}

void weight_norm(Call& call) {
  const nf::View v = call.rows(), g = call.array({kKinds});
  call.run(v, kKinds, nf::WeightNorm(),
           [&](const nf::WeightNorm& all) { nf::weight_norm(v, g, nf::axis(0), all); });
}

void batch_norm(Call& call, const nf::View& x, int channel_axis, bool training) {
  const std::int64_t channels = x.shape[channel_axis];
  nf::BatchNorm options;
  options.training = training;
  options.weight = call.array({channels});
  options.bias = call.array({channels});
  options.running_mean = call.array({channels});
  options.running_var = call.array({channels}, kOffset);
  options.activation = nf::Activation::kRelu;
  call.run(x, channels, options,
           [&](const nf::BatchNorm& all) { nf::batch_norm(x, nf::axis(channel_axis), all); });
}

void group_norm(Call& call, const nf::View& x, int channel_axis) {
  constexpr std::int64_t kGroups = 4;
  const std::int64_t channels = x.shape[channel_axis];
  nf::GroupNorm options;
  options.weight = call.array({channels});
  options.bias = call.array({channels});
  call.run(x, x.shape[0] * kGroups, options,
           [&](const nf::GroupNorm& all) { nf::group_norm(x, kGroups, channel_axis, all); });
}

void residual(Call& call) {
  nf::LayerNorm options;
  options.residual = call.array({kKinds, call.n});
  options.sum = call.zeros({kKinds, call.n});
  layer_norm(call, call.rows(), 1, options);
}

void activated(Call& call, nf::Activation activation) {
  nf::LayerNorm options;
  options.activation = activation;
  layer_norm(call, call.rows(), 1, options);
}

struct Case {
  const char* name;
  void (*run)(Call& call);
};

const Case kCases[] = {
    {"layer_norm.rows", [](Call& c) { layer_norm(c, c.rows(), 1); }},
    {"layer_norm.columns", [](Call& c) { layer_norm(c, c.columns(), 0); }},
    {"layer_norm.strided", [](Call& c) { layer_norm(c, c.strided(), 1); }},
    {"layer_norm.residual", residual},
    {"layer_norm.relu", [](Call& c) { activated(c, nf::Activation::kRelu); }},
    {"layer_norm.gelu", [](Call& c) { activated(c, nf::Activation::kGelu); }},
    {"layer_norm.gelu_tanh", [](Call& c) { activated(c, nf::Activation::kGeluTanh); }},
    {"layer_norm.silu", [](Call& c) { activated(c, nf::Activation::kSilu); }},
    {"rms_norm.rows", [](Call& c) { rms_norm(c, c.rows(), 1); }},
    {"rms_norm.columns", [](Call& c) { rms_norm(c, c.columns(), 0); }},
    {"rms_norm.strided", [](Call& c) { rms_norm(c, c.strided(), 1); }},
    {"batch_norm.training.first",
     [](Call& c) { batch_norm(c, c.mixed({2, kKinds, c.n}, 1), 1, true); }},
    {"batch_norm.training.last", [](Call& c) { batch_norm(c, c.mixed({7, c.n}, 1), 1, true); }},
    {"batch_norm.evaluation.first",
     [](Call& c) { batch_norm(c, c.mixed({2, kKinds, c.n}, 1), 1, false); }},
    {"batch_norm.evaluation.last", [](Call& c) { batch_norm(c, c.mixed({7, c.n}, 1), 1, false); }},
    {"group_norm.first", [](Call& c) { group_norm(c, c.mixed({2, 8, c.n}, 1), 1); }},
    {"group_norm.last", [](Call& c) { group_norm(c, c.mixed({2, c.n, 8}, 2), 2); }},
    {"normalize.l1", [](Call& c) { normalize(c, c.rows(), 1, nf::Norm::kL1); }},
    {"normalize.l2", [](Call& c) { normalize(c, c.rows(), 1, nf::Norm::kL2); }},
    {"normalize.max", [](Call& c) { normalize(c, c.rows(), 1, nf::Norm::kMax); }},
    {"normalize.columns", [](Call& c) { normalize(c, c.columns(), 0, nf::Norm::kL2); }},
    {"mean_var.rows", [](Call& c) { mean_var(c, c.rows(), 1); }},
    {"mean_var.columns", [](Call& c) { mean_var(c, c.columns(), 0); }},
    {"mean_var.strided", [](Call& c) { mean_var(c, c.strided(), 1); }},
    {"standardize.rows", [](Call& c) { standardize(c, c.rows(), 1); }},
    {"standardize.columns", [](Call& c) { standardize(c, c.columns(), 0); }},
    {"weight_norm.rows", weight_norm},
};

// A line a case: a digest for each type.
std::vector<std::string> digests() {
  std::vector<std::string> lines;
  for (const Case& each : kCases) {
    std::ostringstream line;
    line << std::setw(28) << std::left << each.name << std::right << std::hex << std::setfill('0');
    for (const nf::DType type : kTypes) {
      Digest digest;
      for (const std::int64_t n : kLengths) {
        Call call(type, n, digest);
        each.run(call);
      }
      line << ' ' << std::setw(16) << digest.value();
    }
    lines.push_back(line.str());
  }
  return lines;
}

void record() {
  std::ofstream file(NORMFAST_BITS);
  for (const std::string& line : digests()) file << line << '\n';
}

std::vector<std::string> recorded() {
  std::ifstream file(NORMFAST_BITS);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(Bits, OfFixedInputsAreThoseOnRecordOnEveryInstructionSet) {
  if (std::getenv("NORMFAST_RENEW_BITS")) record();
  const std::vector<std::string> wanted = recorded();
  const std::string before = nf::info().isa;
  for (const std::string& isa : nf::info().isas_available) {
    nf::use_isa(isa);
    const std::vector<std::string> found = digests();
    EXPECT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size() && i < wanted.size(); ++i) {
      EXPECT_EQ(found[i], wanted[i]) << isa;
    }
  }
  nf::use_isa(before);
}

}  // namespace
