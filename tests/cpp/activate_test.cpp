// Activations against their definitions in long double. (That every ISA gives the same bits:
// kernels_test.cpp.)
#include "any_kernels.hpp"

#include <cmath>
#include <limits>

namespace normfast::test {
namespace {

// In forms that lose no digits on the negative side.
long double reference(Activation activation, long double x) {
  switch (activation) {
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return x * std::erfc(-x / std::sqrt(2.0L)) / 2;
    case Activation::kGeluTanh: {
      // 1 + tanh(u) = 2 / (1 + e^(-2u))
      const long double pi = 3.14159265358979323846264338327950288L;
      return x / (1 + std::exp(-2 * std::sqrt(2 / pi) * (x + 0.044715L * x * x * x)));
    }
    default:
      return x;
  }
}

const Activation kAll[] = {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh,
                           Activation::kSilu};

class Activate : public AnyKernels {
 protected:
  template <class T>
  std::vector<T> of(Activation activation, const std::vector<T>& x) {
    std::vector<T> y(x.size());
    const auto activate = computing<T>(*GetParam()).activate[static_cast<int>(activation)];
    activate(x.data(), nullptr, y.data(), std::ssize(x));
    return y;
  }
};
NORMFAST_FOR_EACH_ISA(Activate);

TEST_P(Activate, IsCloseToTheDefinitionAtEveryMagnitude) {
  each_computing([&]<class T>(T) {
    const double promised = sizeof(T) == 4 ? 3e-7 : 1e-13;
    std::vector<T> x;
    for (int i = -30000; i <= 30000; ++i) x.push_back(static_cast<T>(i / 1000.0L));
    for (int i = -8000; i <= 8000; ++i) x.push_back(static_cast<T>(i / 10.0L));
    // Numbers of each power of two, to the largest and the smallest.
    using Limits = std::numeric_limits<T>;
    std::mt19937_64 random(1);
    std::uniform_real_distribution<T> mantissa(T(0.5), T(1));
    for (int e = Limits::min_exponent - Limits::digits; e <= Limits::max_exponent; ++e) {
      for (int i = 0; i < 8; ++i) {
        const T v = std::ldexp(mantissa(random), e);
        x.insert(x.end(), {v, -v});
      }
    }
    x.insert(x.end(), {Limits::max(), Limits::lowest(), T(0)});
    for (const Activation a : kAll) {
      const auto y = of(a, x);
      double worst = 0;
      T where = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const long double wanted = reference(a, x[i]);
        const long double error = std::fabs(y[i] - wanted) / std::max(1.0L, std::fabs(wanted));
        if (!(error <= worst)) worst = static_cast<double>(error), where = x[i];
      }
      EXPECT_LE(worst, promised) << "activation " << static_cast<int>(a) << " of " << where;
    }
  });
}

TEST_P(Activate, KnowsTheEndsOfTheRange) {
  each_computing([&]<class T>(T) {
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    for (const Activation a : kAll) {
      const auto y = of<T>(a, {inf, -inf, nan, -nan, T(0), T(-0.0)});
      EXPECT_EQ(y[0], inf);
      EXPECT_NEAR(y[1], 0, 1e-15);
      EXPECT_TRUE(std::isnan(y[2]) && std::isnan(y[3]));
      EXPECT_EQ(y[4], 0);
      EXPECT_EQ(y[5], 0);
    }
  });
}

}  // namespace
}  // namespace normfast::test
