// Kernels that move elements without computing: each has one answer, on every ISA.
#include "any_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace normfast::test {
namespace {

class Convert : public AnyKernels {
 protected:
  // kernel(from, to, count) turns `from` into `wanted` in pieces of every length, at fences.
  template <class Kernel, class From, class To>
  static void expect(Kernel kernel, const std::vector<From>& from, const std::vector<To>& wanted,
                     const char* what) {
    static const Fenced memory(1 << 20), to_memory(1 << 20);
    ASSERT_EQ(from.size(), wanted.size());
    for (int64_t i = 0, count = 1; i < std::ssize(from); i += count, count = count % 70 + 1) {
      const int64_t n = std::min(count, std::ssize(from) - i);
      const From* x = memory.last(std::vector<From>(from.begin() + i, from.begin() + i + n));
      std::vector<To> result(static_cast<std::size_t>(n));
      To* y = to_memory.last<To>(n);
      kernel(x, y, n);
      std::copy_n(y, n, result.begin());
      const std::vector<To> piece(wanted.begin() + i, wanted.begin() + i + n);
      ASSERT_TRUE(same(result, piece)) << what << ", from " << value_of(from[i]) << " on";
      // Not all of it lies at the end of the memory.
      std::vector<To> around(static_cast<std::size_t>(n + 70), wanted[0]), before(around);
      kernel(x, around.data(), n);
      std::copy(piece.begin(), piece.end(), before.begin());
      ASSERT_TRUE(same(around, before)) << what << " writes past the end";
    }
  }
};
NORMFAST_FOR_EACH_ISA(Convert);

// ---- widening ---------------------------------------------------------------------------------

template <class I>
std::vector<I> integers() {
  using Limits = std::numeric_limits<I>;
  std::vector<I> values = {0, 1, Limits::min(), Limits::max(), Limits::max() - 1};
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    values.push_back(static_cast<I>(random() >> (random() % 64)));
    values.push_back(static_cast<I>(~values.back()));
  }
  return values;
}

TEST_P(Convert, IntegersAreRoundedOnce) {
  const auto with = [&]<class I>(I, const char* what) {
    each_computing([&]<class T>(T) {
      const auto from = integers<I>();
      // A long double holds any of them.
      std::vector<T> wanted;
      for (const I i : from) wanted.push_back(static_cast<T>(static_cast<long double>(i)));
      expect(computing<T>(*GetParam()).widen[kIndex<I>], from, wanted, what);
    });
  };
  with(uint8_t(), "uint8");
  with(int8_t(), "int8");
  with(uint16_t(), "uint16");
  with(int16_t(), "int16");
  with(int32_t(), "int32");
  with(int64_t(), "int64");
}

template <class H>
std::vector<H> every_half() {
  std::vector<H> all;
  for (int b = 0; b < 0x10000; ++b) all.push_back({static_cast<uint16_t>(b)});
  return all;
}

TEST_P(Convert, EveryHalfIsWidenedExactly) {
  const auto with = [&]<class H>(H, const char* what) {
    each_computing([&]<class T>(T) {
      const auto from = every_half<H>();
      std::vector<T> wanted;
      for (const H h : from) wanted.push_back(static_cast<T>(value_of(h)));
      expect(computing<T>(*GetParam()).widen[kIndex<H>], from, wanted, what);
    });
  };
  with(Half(), "float16");
  with(BFloat16(), "bfloat16");
}

// ---- narrowing --------------------------------------------------------------------------------

// Every number of a sixteen-bit type that is not NaN, every midpoint between two of them, and what
// lies beside each: in T, and far closer than a float could.
template <class H, class T>
std::vector<T> numbers_to_round() {
  const T inf = std::numeric_limits<T>::infinity();
  std::vector<T> values = {inf, std::numeric_limits<T>::max(), std::numeric_limits<T>::min(),
                           std::numeric_limits<T>::denorm_min(),
                           std::numeric_limits<T>::quiet_NaN()};
  for (int b = 0; b < kInfinity<H>; ++b) {
    const double low = magnitude<H>(b), high = magnitude<H>(b + 1);
    for (const double number : {low, (low + high) / 2}) {
      const auto v = static_cast<T>(number);
      values.push_back(v);
      values.push_back(std::nextafter(v, T(0)));
      values.push_back(std::nextafter(v, inf));
      if constexpr (sizeof(T) == 8) {
        values.push_back(v - std::ldexp(high - low, -30));
        values.push_back(v + std::ldexp(high - low, -30));
      }
    }
  }
  const std::size_t positive = values.size();
  for (std::size_t i = 0; i < positive; ++i) values.push_back(-values[i]);
  return values;
}

TEST_P(Convert, HalvesAreRoundedOnceToNearestEven) {
  const auto with = [&]<class H>(H, const char* what) {
    each_computing([&]<class T>(T) {
      const auto from = numbers_to_round<H, T>();
      std::vector<H> wanted;
      for (const T v : from) wanted.push_back(nearest<H>(v));
      expect(computing<T>(*GetParam()).narrow[kIndex<H>], from, wanted, what);
      if (const auto stream = computing<T>(*GetParam()).stream_narrow[kIndex<H>]) {
        const auto past = [=](const T* x, H* y, int64_t n) { stream(x, y, n, nullptr); };
        expect(past, from, wanted, what);
      }
    });
  };
  with(Half(), "float16");
  with(BFloat16(), "bfloat16");
}

// Widened, mapped and rounded at once, from any element of a line on.
TEST_P(Convert, BytesThatAreMappedAreThoseOfEachStepInTurn) {
  const auto& kernels = GetParam()->f32;
  const Fenced from_memory(1 << 13), to_memory(1 << 13);
  const Normalizer<float> map = {123.675f, 0.017124754f, -3e-9f};
  const auto with = [&]<class Y>(Y) {
    constexpr std::size_t kUnit = sizeof(Y);
    std::mt19937_64 random(1);
    for (int64_t n = 0; n <= 200; ++n) {
      std::vector<uint8_t> bytes;
      for (int64_t i = 0; i < n; ++i)
        bytes.push_back(static_cast<uint8_t>(integer(random, 0, 255)));
      const uint8_t* x = from_memory.last(bytes);
      std::vector<float> wide(static_cast<std::size_t>(n));
      kernels.widen[kIndex<uint8_t>](x, wide.data(), n);
      kernels.of(DType::kFloat32)
          .apply_rows(wide.data(), 0, wide.data(), 0, 1, n, {&map.center, &map.scale, &map.shift});
      std::vector<Y> wanted(static_cast<std::size_t>(n));
      kernels.narrow[kIndex<Y>](wide.data(), wanted.data(), n);
      const std::size_t size = wanted.size() * kUnit;
      for (std::size_t start = 0; start < 64; start += kUnit) {
        for (const bool stream : {false, true}) {
          std::vector<char> before(size + 128, 7), result(before);
          std::copy_n(reinterpret_cast<const char*>(wanted.data()), size, before.data() + start);
          char* y = to_memory.last(result);
          kernels.map_bytes[kIndex<Y>](x, y + start, n, map, stream);
          GetParam()->fence();
          ASSERT_EQ(std::memcmp(y, before.data(), before.size()), 0)
              << n << " from byte " << start << " of a line on, past the cache: " << stream;
        }
      }
    }
  };
  with(float());
  with(Half());
  with(BFloat16());
}

// From any byte of a line on, while what may not be there is fetched.
TEST_P(Convert, HalvesPastTheCacheAreThoseThroughIt) {
  const Fenced from_memory(1 << 13), to_memory(1 << 13);
  const auto with = [&]<class H>(H) {
    const auto narrow = GetParam()->f32.narrow[kIndex<H>];
    const auto stream = GetParam()->f32.stream_narrow[kIndex<H>];
    std::mt19937_64 random(1);
    for (int64_t n = 0; n <= 200; ++n) {
      const float* x = from_memory.last(data<float>({"normal", 0, 1, 0}, n + 1, random)) + 1;
      std::vector<H> wanted(static_cast<std::size_t>(n));
      narrow(x, wanted.data(), n);
      const std::size_t bytes = wanted.size() * sizeof(H);
      for (std::size_t start = 0; start < 64; ++start) {
        std::vector<char> before(bytes + 128, 7), result(before);
        std::copy_n(reinterpret_cast<const char*>(wanted.data()), bytes, before.data() + start);
        char* y = to_memory.last(result);
        stream(x, y + start, n, y + 99999);
        GetParam()->fence();
        ASSERT_EQ(std::memcmp(y, before.data(), before.size()), 0)
            << n << " from byte " << start << " of a line on";
      }
    }
  };
  with(Half());
  with(BFloat16());
}

TEST_P(Convert, FloatsAndDoublesBecomeEachOther) {
  std::vector<double> doubles = {0.0, -0.0, NAN, 1e39, -1e39, 1e-46, 0x1p-150, 0x1.000001p-150};
  std::vector<float> floats(doubles.begin(), doubles.end());
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const float low = std::bit_cast<float>(static_cast<uint32_t>(random()));
    const float high = std::nextafter(low, std::numeric_limits<float>::infinity());
    if (!std::isfinite(low) || !std::isfinite(high)) continue;
    const double middle = (static_cast<double>(low) + high) / 2;
    doubles.insert(doubles.end(),
                   {low, middle, std::nextafter(middle, -1e300), std::nextafter(middle, 1e300)});
    const float even = std::bit_cast<uint32_t>(low) % 2 == 0 ? low : high;
    floats.insert(floats.end(), {low, even, low, high});
  }
  const Kernels<float>& f32 = GetParam()->f32;
  const Kernels<double>& f64 = GetParam()->f64;
  expect(f32.widen[kIndex<double>], doubles, floats, "float64 to float32");
  expect(f64.narrow[kIndex<float>], doubles, floats, "float64 to float32");
  const auto exact = values_of(floats);
  expect(f64.widen[kIndex<float>], floats, exact, "float32 to float64");
  expect(f32.narrow[kIndex<double>], floats, exact, "float32 to float64");
}

TEST_P(Convert, KeepsWhatIsOfTheComputingType) {
  each_computing([&]<class T>(T) {
    std::mt19937_64 random(1);
    std::vector<T> x(5000);
    for (T& v : x) v = std::bit_cast<T>(static_cast<decltype(bits(v))>(random()));
    expect(computing<T>(*GetParam()).widen[kIndex<T>], x, x, "widen");
    expect(computing<T>(*GetParam()).narrow[kIndex<T>], x, x, "narrow");
  });
}

// ---- pixels -----------------------------------------------------------------------------------

TEST_P(Convert, PixelsAreSplitIntoPlanesAndJoinedAgain) {
  const Fenced memory(1 << 16), joined(1 << 16);
  const auto with = [&]<class U>(U, int i) {
    const auto split = GetParam()->split[i];
    const auto join = GetParam()->join[i];
    for (const int channels : {2, 3, 4}) {
      for (int64_t count = 1; count <= kGroup; count = count < 70 ? count + 1 : count + 221) {
        std::vector<U> pixels;
        for (int64_t k = 0; k < count * channels; ++k) pixels.push_back(static_cast<U>(7 * k + 1));
        const U untouched = static_cast<U>(0xabcdabcdabcdabcd);
        std::vector<U> planes(static_cast<std::size_t>(channels * kGroup), untouched);
        std::vector<U> wanted = planes;
        for (int64_t p = 0; p < count; ++p) {
          for (int c = 0; c < channels; ++c) wanted[c * kGroup + p] = pixels[channels * p + c];
        }
        split(memory.last(pixels), count, channels, planes.data());
        ASSERT_EQ(planes, wanted) << channels << " channels, " << count << " pixels";
        U* y = joined.last<U>(std::ssize(pixels));
        join(planes.data(), count, channels, y);
        ASSERT_TRUE(std::equal(pixels.begin(), pixels.end(), y));
        // The last plane may end with its last element.
        const int64_t used = (channels - 1) * kGroup + count;
        split(pixels.data(), count, channels, memory.last<U>(used));
        join(memory.last<U>(used), count, channels, planes.data());
        ASSERT_TRUE(std::equal(pixels.begin(), pixels.end(), planes.begin()));
      }
    }
  };
  with(uint8_t(), 0);
  with(uint16_t(), 1);
  with(uint32_t(), 2);
  with(uint64_t(), 3);
}

}  // namespace
}  // namespace normfast::test
