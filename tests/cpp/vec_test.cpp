// Every operation of every ISA's vector against its plain meaning, bit for bit.
#include "probe.hpp"
#include "support.hpp"

namespace normfast::test {

extern const Probe kProbeScalar;
#if defined(__x86_64__)
extern const Probe kProbeAvx2;
extern const Probe kProbeAvx512;
extern const Probe kProbeAvx512Bf16;
#elif defined(__aarch64__)
extern const Probe kProbeNeon;
#endif

namespace {

const Probe* const kProbes[] = {
    &kProbeScalar,
#if defined(__x86_64__)
    &kProbeAvx2,
    &kProbeAvx512,
    &kProbeAvx512Bf16,
#elif defined(__aarch64__)
    &kProbeNeon,
#endif
};

// Numbers at every edge, then noise of every magnitude.
template <class T>
std::vector<T> numbers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {0,
                           1,
                           T(1.5),
                           T(0.1),
                           T(1) + Limits::epsilon(),
                           T(1) / 3,
                           Limits::max(),
                           Limits::min(),
                           Limits::min() / 2,
                           Limits::denorm_min(),
                           Limits::denorm_min() * 3,
                           Limits::infinity(),
                           Limits::quiet_NaN()};
  std::mt19937_64 random(1);
  for (int i = 0; i < 24; ++i) {
    const T mantissa = std::ldexp(static_cast<T>(random() >> 11 | 1), -53);
    const auto exponent = integer(random, Limits::min_exponent, Limits::max_exponent);
    values.push_back(std::ldexp(mantissa, static_cast<int>(exponent)));
  }
  return values;
}

template <class T>
std::vector<T> signed_numbers() {
  std::vector<T> values = numbers<T>();
  for (const T v : numbers<T>()) values.push_back(-v);
  return values;
}

// Lane i holds values[first + i * step], around.
template <class T>
std::vector<T> spread(const std::vector<T>& values, int64_t lanes, std::size_t first,
                      std::size_t step = 1) {
  std::vector<T> v;
  for (int64_t i = 0; i < lanes; ++i, first += step) v.push_back(values[first % values.size()]);
  return v;
}

class Vec : public testing::TestWithParam<const Probe*> {
 protected:
  void SetUp() override { NORMFAST_SKIP_UNLESS_RUNS(GetParam()->isa); }

  template <class Check>
  void both(Check check) {
    check(GetParam()->f32);
    check(GetParam()->f64);
  }
  template <class Check>
  void both_halves(Check check) {
    check(GetParam()->f16);
    check(GetParam()->bf16);
  }

  // Every pair of numbers meets in some lane.
  template <class T, class Operation, class Expected>
  static void pairs(const LaneProbe<T>& v, const std::vector<T>& values, Operation operation,
                    Expected expected) {
    std::vector<T> result(static_cast<std::size_t>(v.lanes)), wanted(result);
    for (std::size_t shift = 0; shift < values.size(); ++shift) {
      for (std::size_t first = 0; first < values.size(); first += result.size()) {
        const auto a = spread(values, v.lanes, first), b = spread(values, v.lanes, first + shift);
        operation(a.data(), b.data(), result.data());
        for (std::size_t i = 0; i < result.size(); ++i) wanted[i] = expected(a[i], b[i]);
        ASSERT_TRUE(same(result, wanted));
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Isa, Vec, testing::ValuesIn(kProbes),
                         [](const auto& info) { return std::string(info.param->isa); });

TEST_P(Vec, SetFillsEveryLane) {
  both([]<class T>(const LaneProbe<T>& v) {
    for (const T value : signed_numbers<T>()) {
      std::vector<T> result(static_cast<std::size_t>(v.lanes));
      v.set(value, result.data());
      EXPECT_TRUE(same(result, std::vector<T>(result.size(), value)));
    }
  });
}

TEST_P(Vec, LoadAndStoreKeepEveryBitAtAnyAlignment) {
  both([]<class T>(const LaneProbe<T>& v) {
    const Fenced from(4096), to(4096);
    const auto values = spread(signed_numbers<T>(), v.lanes, 9);
    for (int64_t slack = 0; slack < v.lanes; ++slack) {
      T* a = std::copy(values.begin(), values.end(), from.last<T>(v.lanes + slack)) - v.lanes;
      T* r = to.last<T>(v.lanes + (slack * 3) % v.lanes);
      v.copy(a, r);
      for (int64_t i = 0; i < v.lanes; ++i) EXPECT_EQ(bits(r[i]), bits(values[i]));
    }
  });
}

TEST_P(Vec, BytesBecomeTheirNumbersAndNothingBesideThemIsRead) {
  const ByteProbe& v = GetParam()->bytes;
  constexpr std::size_t kLanes = 16;
  const Fenced memory(4096);
  for (int start = 0; start < 256; ++start) {
    std::vector<uint8_t> from;
    for (std::size_t i = 0; i < kLanes; ++i) from.push_back(static_cast<uint8_t>(start + 17 * i));
    const auto expect = [&](std::size_t first, std::size_t last, auto load) {
      std::vector<float> result(kLanes), wanted(kLanes);
      for (std::size_t i = first; i < last; ++i) wanted[i] = static_cast<float>(from[i]);
      load(result.data());
      ASSERT_TRUE(same(result, wanted)) << first << " to " << last;
    };
    expect(0, kLanes, [&](float* r) { v.load(memory.last(from), r); });
    for (std::size_t first = 0; first <= kLanes; ++first) {
      const auto begin = static_cast<int64_t>(first);
      const std::vector<uint8_t> head(from.begin(), from.begin() + begin);
      expect(0, first, [&](float* r) { v.load_some(memory.last(head), begin, r); });
      // What is before `first` may not be there either.
      const std::vector<uint8_t> tail(from.begin() + begin, from.end());
      uint8_t* const there =
          std::copy(tail.begin(), tail.end(), memory.first<uint8_t>()) - std::ssize(tail);
      expect(first, kLanes, [&](float* r) { v.load_between(there - begin, begin, kLanes, r); });
    }
  }
}

TEST_P(Vec, StreamStoresTheVectorAlone) {
  const auto check = [](int64_t lanes, auto stream, const auto& wanted) {
    using T = std::decay_t<decltype(wanted[0])>;
    const Fenced memory(4096);
    for (const int64_t slack : {int64_t{0}, lanes}) {
      T* to = memory.last<T>(lanes + slack);
      for (int64_t i = -lanes; i < lanes + slack; ++i) to[i] = wanted[0];
      stream(to);
      EXPECT_TRUE(same(std::vector<T>(to, to + lanes), wanted));
      for (int64_t i = 1; i <= lanes; ++i) EXPECT_EQ(bits(to[-i]), bits(wanted[0]));
      for (int64_t i = 0; i < slack; ++i) EXPECT_EQ(bits(to[lanes + i]), bits(wanted[0]));
    }
  };
  both([&]<class T>(const LaneProbe<T>& v) {
    const auto values = spread(signed_numbers<T>(), v.lanes, 3);
    check(v.lanes, [&](T* to) { v.stream(values.data(), to); }, values);
  });
  both_halves([&]<class H>(const HalfProbe<H>& v) {
    const auto values = spread(signed_numbers<float>(), 32, 3);
    std::vector<H> wanted;
    for (const float f : values) wanted.push_back(nearest<H>(f));
    check(32, [&](H* to) { v.stream_line(values.data(), to); }, wanted);
  });
}

TEST_P(Vec, PartialLoadReadsNothingPastTheEndAndGivesZeroThere) {
  both([]<class T>(const LaneProbe<T>& v) {
    const Fenced memory(4096);
    for (int64_t count = 0; count <= v.lanes; ++count) {
      auto wanted = spread(signed_numbers<T>(), count, 5);
      const T* a = memory.last(wanted);
      std::vector<T> result(static_cast<std::size_t>(v.lanes), T(7));
      v.load(a, count, result.data());
      wanted.resize(result.size(), T(0));
      EXPECT_TRUE(same(result, wanted)) << count;
    }
  });
}

TEST_P(Vec, PartialStoreWritesNothingPastTheEnd) {
  both([]<class T>(const LaneProbe<T>& v) {
    const Fenced memory(4096);
    const auto values = spread(signed_numbers<T>(), v.lanes, 3);
    for (int64_t count = 0; count <= v.lanes; ++count) {
      v.store(values.data(), memory.last<T>(count), count);  // the fence would stop it
      std::vector<T> wanted(static_cast<std::size_t>(v.lanes), T(7)), result(wanted);
      std::copy_n(values.begin(), count, wanted.begin());
      v.store(values.data(), result.data(), count);
      EXPECT_TRUE(same(result, wanted)) << count;
    }
  });
}

TEST_P(Vec, LanesInBetweenAreReadAndWrittenAndNothingBesideThem) {
  const auto check = []<class P, class T>(const P& v, const std::vector<T>& wide, const auto& a) {
    using Narrow = std::decay_t<decltype(a[0])>;
    const auto lanes = std::ssize(wide);
    const Fenced memory(4096);
    for (int64_t first = 0; first <= lanes; ++first) {
      for (int64_t last = first; last <= lanes; ++last) {
        std::vector<T> wanted(wide.size(), T(0)), result(wide.size(), T(7));
        std::copy(wide.begin() + first, wide.begin() + last, wanted.begin() + first);
        // At the start of memory, then at its end: the fences would stop what is beside.
        for (Narrow* from : {memory.first<Narrow>(), memory.last<Narrow>(last - first)}) {
          std::copy(a.begin() + first, a.begin() + last, from);
          v.load_between(from - first, first, last, result.data());
          ASSERT_TRUE(same(result, wanted)) << first << " to " << last;
          std::fill_n(from, last - first, Narrow{});
          v.store_between(wide.data(), from - first, first, last);
          ASSERT_TRUE(std::equal(from, from + (last - first), a.begin() + first,
                                 [](Narrow p, Narrow q) { return bits(p) == bits(q); }));
        }
        std::vector<Narrow> all(wide.size());
        v.store_between(wide.data(), all.data(), first, last);
        for (int64_t i = 0; i < lanes; ++i) {
          const auto l = static_cast<std::size_t>(i);
          ASSERT_EQ(bits(all[l]), bits(i < first || i >= last ? Narrow{} : a[l]));
        }
      }
    }
  };
  both([&]<class T>(const LaneProbe<T>& v) {
    const auto values = spread(signed_numbers<T>(), v.lanes, 3);
    check(v, values, values);
  });
  both_halves([&]<class H>(const HalfProbe<H>& v) {
    std::vector<float> wide;
    std::vector<H> narrow;
    for (int i = 0; i < 16; ++i) {
      wide.push_back(static_cast<float>(i - 8));
      narrow.push_back(nearest<H>(wide.back()));
    }
    check(v, wide, narrow);
  });
}

TEST_P(Vec, JoinTakesTheFirstLanesOfOneAndTheOthersOfTheOther) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto a = spread(signed_numbers<T>(), v.lanes, 3);
    const auto b = spread(signed_numbers<T>(), v.lanes, 7);
    for (int64_t count = 0; count <= v.lanes; ++count) {
      auto wanted = b;
      std::copy_n(a.begin(), count, wanted.begin());
      std::vector<T> result(a.size());
      v.join(a.data(), b.data(), count, result.data());
      EXPECT_TRUE(same(result, wanted)) << count;
    }
  });
}

TEST_P(Vec, KeepSelectsZeroWhateverStoodThere) {
  both([]<class T>(const LaneProbe<T>& v) {
    for (std::size_t first = 0; first < signed_numbers<T>().size(); ++first) {
      for (int64_t count = 0; count <= v.lanes; ++count) {
        auto wanted = spread(signed_numbers<T>(), v.lanes, first);
        std::vector<T> result(wanted.size());
        v.keep(wanted.data(), count, result.data());
        std::fill(wanted.begin() + count, wanted.end(), T(0));
        ASSERT_TRUE(same(result, wanted)) << count;
      }
    }
  });
}

TEST_P(Vec, ArithmeticIsIeee) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto all = signed_numbers<T>();
    pairs(v, all, v.add, [](T a, T b) { return a + b; });
    pairs(v, all, v.subtract, [](T a, T b) { return a - b; });
    pairs(v, all, v.multiply, [](T a, T b) { return a * b; });
    pairs(v, all, v.divide, [](T a, T b) { return a / b; });
  });
}

TEST_P(Vec, FmaRoundsOnce) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto all = signed_numbers<T>();
    for (std::size_t third = 0; third < all.size(); third += 3) {
      const auto c = spread(all, v.lanes, third, 5);
      const auto with_c = [&](const T* a, const T* b, T* r) {
        v.fma(a, b, c.data(), r);
        for (int64_t i = 0; i < v.lanes; ++i) {
          ASSERT_TRUE(same(r[i], std::fma(a[i], b[i], c[static_cast<std::size_t>(i)])));
          r[i] = a[i];
        }
      };
      pairs(v, all, with_c, [](T a, T) { return a; });
    }
    // Not a product and a sum: this square loses its last bit when it is rounded first.
    const T x = T(1) + std::numeric_limits<T>::epsilon();
    const std::vector<T> a(static_cast<std::size_t>(v.lanes), x), c(a.size(), -x * x);
    std::vector<T> r(a.size());
    v.fma(a.data(), a.data(), c.data(), r.data());
    for (const T lane : r) EXPECT_NE(lane, T(0));
  });
}

TEST_P(Vec, AbsClearsTheSignAlone) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto all = signed_numbers<T>();
    for (std::size_t first = 0; first < all.size(); ++first) {
      const auto a = spread(all, v.lanes, first);
      std::vector<T> result(a.size());
      v.abs(a.data(), result.data());
      for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(bits(result[i]), bits(std::signbit(a[i]) ? -a[i] : a[i]));
      }
    }
  });
}

TEST_P(Vec, MaxMagnitudeNeverLosesNaN) {
  both([]<class T>(const LaneProbe<T>& v) {
    pairs(v, numbers<T>(), v.max_magnitude, [](T a, T b) {
      if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
      return a > b ? a : b;
    });
  });
}

// Of two zeros as well, and where either is a NaN: that decides the bits of what follows.
TEST_P(Vec, LargerAndSmallerGiveTheirSecondWhereTheyCannotTell) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto all = signed_numbers<T>();
    pairs(v, all, v.larger, [](T a, T b) { return a > b ? a : b; });
    pairs(v, all, v.smaller, [](T a, T b) { return a < b ? a : b; });
  });
}

TEST_P(Vec, WhereNegativeReadsTheSignBitAlone) {
  both([]<class T>(const LaneProbe<T>& v) {
    const auto all = signed_numbers<T>();  // with -0 and NaNs of both signs
    const auto other = spread(all, v.lanes, 11, 7);
    const auto choose = [&](const T* by, const T* a, T* r) {
      v.where_negative(by, a, other.data(), r);
      for (int64_t i = 0; i < v.lanes; ++i) {
        const T wanted = std::signbit(by[i]) ? a[i] : other[static_cast<std::size_t>(i)];
        ASSERT_TRUE(same(r[i], wanted)) << by[i];
        r[i] = a[i];
      }
    };
    pairs(v, all, choose, [](T, T a) { return a; });
  });
}

TEST_P(Vec, WhereNonzeroGivesZeroWhateverStoodThere) {
  pairs(GetParam()->f64, signed_numbers<double>(), GetParam()->where_nonzero,
        [](double by, double a) { return by != 0 ? a : 0.0; });
}

TEST_P(Vec, WhereSelectedReadsAByteALane) {
  const Fenced memory(4096);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> a = {1, -0.0, nan, 4, INFINITY, 6, -7, 8};
  for (int selected = 0; selected < 256; ++selected) {
    std::vector<uint8_t> by;
    for (int64_t count = 0; count <= 8; ++count) {
      std::vector<double> wanted(8), result(8);
      if (count > 0) by.push_back(static_cast<uint8_t>(selected & 1 << (count - 1)));
      for (std::size_t i = 0; i < by.size(); ++i) wanted[i] = by[i] != 0 ? a[i] : 0;
      const uint8_t* const p = memory.last(by);
      GetParam()->where_some_selected(p, a.data(), count, result.data());
      ASSERT_TRUE(same(result, wanted)) << selected << ", " << count << " lanes";
      if (count == 8) GetParam()->where_selected(p, a.data(), result.data());
      ASSERT_TRUE(same(result, wanted)) << selected;
    }
  }
}

TEST_P(Vec, TimesPowerOfTwoIsExactInTheNormalRange) {
  both([]<class T>(const LaneProbe<T>& v) {
    using Limits = std::numeric_limits<T>;
    // Adding this leaves k in the low bits, as the exponential does.
    const T round = std::ldexp(T(1.5), Limits::digits - 1);
    for (const T a : {T(1), T(1.5), T(0.7), T(1) + Limits::epsilon(), T(-1.3)}) {
      for (int k = Limits::min_exponent; k <= Limits::max_exponent - 2; ++k) {
        const std::vector<T> x(static_cast<std::size_t>(v.lanes), a);
        const std::vector<T> t(x.size(), static_cast<T>(k) + round);
        std::vector<T> r(x.size());
        v.times_power_of_two(x.data(), t.data(), r.data());
        ASSERT_TRUE(same(r, std::vector<T>(x.size(), std::ldexp(a, k)))) << a << " 2^" << k;
      }
    }
  });
}

// ---- sixteen bits -----------------------------------------------------------------------------

TEST_P(Vec, EveryHalfIsWidenedExactly) {
  both_halves([]<class H>(const HalfProbe<H>& v) {
    for (int first = 0; first < 0x10000; first += 16) {
      std::vector<H> a;
      std::vector<float> wanted, result(16);
      for (int b = first; b < first + 16; ++b) {
        a.push_back({static_cast<uint16_t>(b)});
        wanted.push_back(static_cast<float>(value_of(a.back())));
      }
      v.load(a.data(), result.data());
      ASSERT_TRUE(same(result, wanted)) << first;
      v.load_some(a.data(), 16, result.data());
      ASSERT_TRUE(same(result, wanted)) << first;
    }
  });
}

// Every number of the narrow type, every midpoint between two of them, and the floats beside each.
template <class H>
std::vector<float> floats_to_round() {
  using Limits = std::numeric_limits<float>;
  std::vector<float> values = {Limits::max(), Limits::infinity(), Limits::denorm_min(),
                               Limits::min(), Limits::quiet_NaN()};
  for (int b = 0; b < kInfinity<H>; ++b) {
    const double low = magnitude<H>(b), middle = (low + magnitude<H>(b + 1)) / 2;
    for (const double number : {low, middle}) {
      const auto f = static_cast<float>(number);
      for (const float v : {f, std::nextafter(f, 0.f), std::nextafter(f, Limits::infinity())}) {
        values.push_back(v);
      }
    }
  }
  // NaNs of other payloads: the highest bit of the fraction, the lowest, all of them.
  for (const uint32_t b : {0x7fc00000u, 0x7f800001u, 0x7fffffffu}) {
    values.push_back(std::bit_cast<float>(b));
  }
  const std::size_t positive = values.size();
  for (std::size_t i = 0; i < positive; ++i) values.push_back(-values[i]);
  while (values.size() % 32) values.push_back(0);
  return values;
}

TEST_P(Vec, EveryHalfIsRoundedToNearestEven) {
  both_halves([]<class H>(const HalfProbe<H>& v) {
    const auto values = floats_to_round<H>();
    for (std::size_t i = 0; i < values.size(); i += 32) {
      std::vector<H> wanted, result(32);
      for (std::size_t k = i; k < i + 32; ++k) wanted.push_back(nearest<H>(values[k]));
      for (const auto k : {0u, 16u}) v.store(values.data() + i + k, result.data() + k);
      ASSERT_TRUE(same(result, wanted)) << "from " << values[i];
      std::fill(result.begin(), result.end(), H());
      for (const auto k : {0u, 16u}) v.store_some(values.data() + i + k, &result[k], 16);
      ASSERT_TRUE(same(result, wanted)) << "from " << values[i];
      std::fill(result.begin(), result.end(), H());
      v.store_line(values.data() + i, result.data());
      ASSERT_TRUE(same(result, wanted)) << "from " << values[i];
    }
  });
}

TEST_P(Vec, PartialLoadOfHalvesReadsNothingPastTheEndAndGivesZeroThere) {
  both_halves([]<class H>(const HalfProbe<H>& v) {
    const Fenced memory(4096);
    for (int64_t count = 0; count <= 16; ++count) {
      H* a = memory.last<H>(count);
      std::vector<float> wanted(16), result(16, 7.f);
      for (int64_t i = 0; i < count; ++i) {
        a[i].bits = static_cast<uint16_t>(0x3c01 + 0x333 * i);
        wanted[static_cast<std::size_t>(i)] = static_cast<float>(value_of(a[i]));
      }
      v.load_some(a, count, result.data());
      EXPECT_TRUE(same(result, wanted)) << count;
    }
  });
}

TEST_P(Vec, PartialStoreOfHalvesWritesNothingPastTheEnd) {
  both_halves([]<class H>(const HalfProbe<H>& v) {
    const Fenced memory(4096);
    const auto values = spread(signed_numbers<float>(), 16, 3);
    for (int64_t count = 0; count <= 16; ++count) {
      v.store_some(values.data(), memory.last<H>(count), count);  // the fence would stop it
      std::vector<H> wanted(16, H{7}), result(wanted);
      for (int64_t i = 0; i < count; ++i) {
        const auto k = static_cast<std::size_t>(i);
        wanted[k] = nearest<H>(values[k]);
      }
      v.store_some(values.data(), result.data(), count);
      EXPECT_TRUE(same(result, wanted)) << count;
    }
  });
}

// ---- widths -----------------------------------------------------------------------------------

TEST_P(Vec, WidenKeepsEveryValueAndOrder) {
  const auto all = signed_numbers<float>();
  for (std::size_t first = 0; first < all.size(); ++first) {
    const auto a = spread(all, 16, first);
    std::vector<double> low(8), high(8), read(8);
    GetParam()->widen_low(a.data(), low.data());
    GetParam()->widen_high(a.data(), high.data());
    GetParam()->load_f64(a.data() + 8, read.data());
    EXPECT_TRUE(same(read, high));
    EXPECT_TRUE(same(low, std::vector<double>(a.begin(), a.begin() + 8)));
    EXPECT_TRUE(same(high, std::vector<double>(a.begin() + 8, a.end())));
  }
}

TEST_P(Vec, FoldAddsInFloat32BeforeItWidens) {
  const auto all = signed_numbers<float>();
  for (std::size_t first = 0; first < all.size(); ++first) {
    const auto a = spread(all, 16, first, 3);
    std::vector<double> result(8), wanted(8);
    GetParam()->fold(a.data(), result.data());
    for (std::size_t i = 0; i < 8; ++i) wanted[i] = a[i] + a[i + 8];
    EXPECT_TRUE(same(result, wanted));
  }
}

TEST_P(Vec, SumHalvesFromEightToOne) {
  const auto all = signed_numbers<double>();
  for (std::size_t first = 0; first < all.size(); ++first) {
    const auto a = spread(all, 8, first, 7);
    const double wanted = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
    EXPECT_TRUE(same(GetParam()->sum(a.data()), wanted));
  }
}

TEST_P(Vec, SumsAreTheSumOfEach) {
  const auto all = signed_numbers<double>();
  for (std::size_t first = 0; first < all.size(); ++first) {
    const auto a = spread(all, 64, first, 5);
    std::vector<double> result(8), wanted;
    GetParam()->sums(a.data(), result.data());
    for (std::size_t i = 0; i < 64; i += 8) wanted.push_back(GetParam()->sum(a.data() + i));
    EXPECT_TRUE(same(result, wanted));
  }
}

}  // namespace
}  // namespace normfast::test
