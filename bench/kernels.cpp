// Every kernel of every ISA this processor runs, in L1, in L2 and in memory, beside a copy of the
// same bytes: normfast_bench --benchmark_filter=apply_row/float32/.*/L2
#include "kernels/kernels.hpp"

#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dispatch/dispatch.hpp"

namespace normfast {
namespace {

// A kernel that joins the list must be measured too.
static_assert(sizeof(Kernels<float>) == (3 * kReductions + 4) * sizeof(void (*)()));

constexpr const char* kReductionNames[kReductions] = {"moments", "squares", "magnitudes",
                                                      "maximum"};

// Rows of 768, as in layer norm; columns in blocks of 32 lines of 48, as in batch norm. Every size
// below holds a whole number of both.
constexpr int64_t kRow = 768;
constexpr int64_t kLanes = 48;
constexpr int64_t kBlock = kLineGroup * kLanes;

struct Size {
  const char* name;
  int64_t bytes;  // of x
};
constexpr Size kSizes[] = {{"L1", 12 << 10}, {"L2", 192 << 10}, {"memory", 96 << 20}};

template <class T>
struct Data {
  int64_t count;
  std::vector<T> x, y;
  // One value a lane, or an element of a row.
  std::vector<T> center = std::vector<T>(kRow), one = std::vector<T>(kRow, T(1));
  std::vector<double> wide = std::vector<double>(kRow), sum = wide, square = wide;

  explicit Data(int64_t bytes) : count(bytes / int64_t{sizeof(T)}), x(count), y(count) {
    std::minstd_rand random;
    for (T& v : x) v = static_cast<T>(random() % 2048) / 1024 - 1;
  }
};

// pass(data) goes over x once and moves `moves` times its bytes.
template <class T, class Pass>
void add(const std::string& kernel, const std::string& isa, int moves, Pass pass) {
  const std::string type = sizeof(T) == 4 ? "float32" : "float64";
  for (const Size& size : kSizes) {
    const std::string name = kernel + "/" + type + "/" + isa + "/" + size.name;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      Data<T> data(size.bytes);
      for (auto _ : state) {
        pass(data);
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(state.iterations() * size.bytes * moves);
    });
  }
}

template <class T, class Each>
void each_row(Data<T>& d, Each each) {
  for (int64_t i = 0; i + kRow <= d.count; i += kRow) each(i);
}

template <class T, class Each>
void each_block(Data<T>& d, Each each) {
  for (int64_t i = 0; i + kBlock <= d.count; i += kBlock) each(i);
}

template <class T>
void add_kernels(const std::string& isa, const Kernels<T>& k) {
  for (int r = 0; r < kReductions; ++r) {
    const std::string what = std::string("/") + kReductionNames[r];
    add<T>("reduce_row" + what, isa, 1, [&k, r](Data<T>& d) {
      each_row(d, [&](int64_t i) {
        benchmark::DoNotOptimize(k.reduce_row[r](d.x.data() + i, nullptr, kRow, 0));
      });
    });
    add<T>("add_lines" + what, isa, 1, [&k, r](Data<T>& d) {
      each_block(d, [&](int64_t i) {
        k.add_lines[r](d.x.data() + i, kLanes, kLineGroup, kLanes, nullptr, d.sum.data(),
                       d.square.data());
      });
    });
    add<T>("add_lines_exact" + what, isa, 1, [&k, r](Data<T>& d) {
      each_block(d, [&](int64_t i) {
        k.add_lines_exact[r](d.x.data() + i, kLanes, kLineGroup, kLanes, d.wide.data(),
                             d.sum.data(), d.square.data());
      });
    });
  }
  add<T>("apply_row", isa, 2, [&k](Data<T>& d) {
    each_row(d, [&](int64_t i) {
      k.apply_row(d.x.data() + i, d.y.data() + i, kRow, {T(0.1), T(2), T(0)}, d.one.data(),
                  d.center.data(), 1);
    });
  });
  add<T>("apply_lines", isa, 2, [&k](Data<T>& d) {
    each_block(d, [&](int64_t i) {
      k.apply_lines(d.x.data() + i, kLanes, d.y.data() + i, kLanes, kLineGroup, kLanes,
                    d.center.data(), d.one.data(), d.center.data(), nullptr, nullptr, 0);
    });
  });
  // The maps of a strip: many a call, however large the array is.
  const auto maps = [isa](const char* kernel, auto run) {
    const std::string name = kernel + std::string("/") + (sizeof(T) == 4 ? "float32" : "float64");
    benchmark::RegisterBenchmark((name + "/" + isa).c_str(), [run](benchmark::State& state) {
      std::vector<double> v(512, 1.5), to(2 * 512);
      std::vector<T> map(3 * 512);
      for (auto _ : state) {
        run(v.data(), to.data(), map.data());
        benchmark::DoNotOptimize(to.data());
        benchmark::DoNotOptimize(map.data());
      }
      state.SetItemsProcessed(state.iterations() * 512);
    });
  };
  maps("divide", [&k](const double* v, double* to, T*) {
    k.divide(v, 512, {768, 1e-5, 0, true}, to, to + 512);
  });
  maps("make_maps", [&k](const double* v, double*, T* map) {
    k.make_maps(v, v, v, v, v, 512, map, map + 512, map + 1024);
  });
}

}  // namespace
}  // namespace normfast

int main(int argc, char** argv) {
  using namespace normfast;
  add<float>("copy", "memcpy", 2, [](Data<float>& d) {
    std::memcpy(d.y.data(), d.x.data(), d.x.size() * sizeof(float));
  });
  for (const KernelTable* table : available_kernels()) {
    add_kernels(table->isa, table->f32);
    add_kernels(table->isa, table->f64);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
