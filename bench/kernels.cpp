// Every kernel of every ISA this processor runs, by storage type, in L1, in L2 and in memory,
// beside copies of the same bytes (copy/memcpy, copy/vector, copy/stream):
// normfast_bench --benchmark_filter='(apply_rows/float16|copy).*/avx2/L2'
#include "kernels/kernels.hpp"

#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "dispatch/dispatch.hpp"
#include "normfast/normfast.hpp"

namespace normfast {
namespace {

// A kernel that joins the list must be measured too.
constexpr std::size_t kPointer = sizeof(void (*)());
static_assert(sizeof(DirectKernels<float>) == (5 * kReductions + 4) * kPointer);
static_assert(sizeof(Kernels<float>) ==
              kDTypes * sizeof(DirectKernels<float>) +
                  (3 * kReductions + 4 * kDTypes + 2 * kActivations + 6) * kPointer);
static_assert(sizeof(KernelTable) ==
              sizeof(Kernels<float>) + sizeof(Kernels<double>) + (1 + 2 * 4 + 3) * kPointer);

constexpr const char* kReductionNames[kReductions] = {"moments", "squares", "magnitudes", "maximum",
                                                      "sums"};
constexpr const char* kActivationNames[kActivations] = {"none", "relu", "gelu", "gelu_tanh",
                                                        "silu"};

// Rows of 768, as in layer norm, and short ones, eight of them together; columns in blocks of 32
// lines of 48, as in batch norm; tiles of a group. Every size below holds a whole number of each.
constexpr int64_t kRow = 768;
constexpr int64_t kShortRow = 48;
constexpr int64_t kShortRows = 8;
constexpr int64_t kLanes = 48;
constexpr int64_t kBlock = kLineGroup * kLanes;
constexpr int64_t kAhead = 4096;  // bytes that streaming kernels fetch ahead

struct Size {
  const char* name;
  int64_t bytes;  // of x
};
constexpr Size kSizes[] = {{"L1", 12 << 10}, {"L2", 192 << 10}, {"memory", 96 << 20}};

// Memory at the start of a cache line, all of it touched.
class Buffer {
 public:
  explicit Buffer(int64_t bytes)
      : data_(static_cast<char*>(::operator new(static_cast<std::size_t>(bytes), kLine))) {
    std::memset(data_.get(), 0, static_cast<std::size_t>(bytes));
  }
  char* get() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(char* p) const { ::operator delete(p, kLine); }
  };
  std::unique_ptr<char, Free> data_;
};

// x of one storage type, y of another, and what goes with a row or a lane of them.
template <class T>
struct Data {
  int64_t count, x_size, y_size;
  Buffer x, y, addend;
  std::vector<T> zero = std::vector<T>(kRow), one = std::vector<T>(kRow, T(1));
  std::vector<double> wide = std::vector<double>(kBlock, 1), sum = wide, square = wide,
                      number = wide;

  Data(int64_t bytes, DType from, DType to, const Kernels<T>& kernels)
      : count(bytes / size_of(from)),
        x_size(size_of(from)),
        y_size(size_of(to)),
        x(bytes),
        y(count * y_size),
        addend(bytes) {
    std::minstd_rand random;
    const auto narrow = kernels.narrow[static_cast<int>(from)];
    for (int64_t i = 0; i < count; ++i) {
      const T value = static_cast<T>(random() % 2048) / 1024 - 1;
      if (narrow) {
        narrow(&value, x.get() + i * x_size, 1);
      } else {
        for (int64_t b = 0; b < x_size; ++b) x.get()[i * x_size + b] = static_cast<char>(random());
      }
    }
  }
  template <class X = void>
  const X* in(int64_t i) const {
    return reinterpret_cast<const X*>(x.get() + i * x_size);
  }
  template <class Y = void>
  Y* out(int64_t i) const {
    return reinterpret_cast<Y*>(y.get() + i * y_size);
  }
  const void* added(int64_t i) const { return addend.get() + i * x_size; }
  int64_t bytes_read() const { return count * x_size; }
  int64_t bytes_written() const { return count * y_size; }
};

// What a kernel moves: y is not written by those that only read, and some read an addend.
enum class Moves { kReads, kReadsAndWrites, kAdds };

// The kernels of one computing type and ISA.
template <class T>
class Benchmarks {
 public:
  explicit Benchmarks(const KernelTable& table) : isa_(table.isa), k_(kernels_of(table)) {}

  void add_all() const {
    for (int t = 0; t < kDTypes; ++t) {
      add_direct(static_cast<DType>(t));
      add_converting(static_cast<DType>(t));
    }
    add_weighted();
    add_activations();
    add_maps();
  }

 private:
  static const Kernels<T>& kernels_of(const KernelTable& table) {
    if constexpr (std::is_same_v<T, float>) return table.f32;
    if constexpr (std::is_same_v<T, double>) return table.f64;
  }

  static std::string name_of(DType type) { return dtype_name(type); }

  // pass(data, i) goes over the `step` elements from i on.
  template <class Pass>
  void add(const std::string& kernel, const std::string& type, DType from, DType to, Moves moves,
           int64_t step, Pass pass) const {
    for (const Size& size : kSizes) {
      const std::string name = kernel + "/" + type + "/" + isa_ + "/" + size.name;
      const Kernels<T>& k = k_;
      benchmark::RegisterBenchmark(name.c_str(), [=, &k](benchmark::State& state) {
        Data<T> data(size.bytes, from, to, k);
        for (auto _ : state) {
          for (int64_t i = 0; i + step <= data.count; i += step) pass(data, i);
          benchmark::ClobberMemory();
        }
        const int64_t written = moves == Moves::kReads ? 0 : data.bytes_written();
        const int64_t read = moves == Moves::kAdds ? 2 * data.bytes_read() : data.bytes_read();
        state.SetBytesProcessed(state.iterations() * (read + written));
      });
    }
  }
  template <class Pass>
  void add(const std::string& kernel, DType type, Moves moves, int64_t step, Pass pass) const {
    add(kernel, name_of(type), type, type, moves, step, pass);
  }

  void add_direct(DType type) const {
    const DirectKernels<T>& k = k_.of(type);
    for (int r = 0; r < kReductions; ++r) {
      const std::string what = std::string("/") + kReductionNames[r];
      if (const auto reduce = k.reduce_row[r]) {
        add("reduce_row" + what, type, Moves::kReads, kRow, [=](Data<T>& d, int64_t i) {
          benchmark::DoNotOptimize(reduce(d.in(i), nullptr, kRow, 0));
        });
      }
      if (const auto reduce = k.reduce_rows[r]) {
        add("reduce_rows" + what, type, Moves::kReads, kShortRow * kShortRows,
            [=](Data<T>& d, int64_t i) {
              reduce(d.in(i), kShortRow, kShortRows, kShortRow, 0, d.number.data(), d.sum.data(),
                     d.square.data());
            });
      }
      if (const auto add_lines = k.add_lines[r]) {
        add("add_lines" + what, type, Moves::kReads, kBlock, [=](Data<T>& d, int64_t i) {
          add_lines(d.in(i), kLanes, kLineGroup, kLanes, nullptr, d.sum.data(), d.square.data(),
                    kAhead);
        });
      }
      if (const auto add_lines = k.add_lines_exact[r]) {
        add("add_lines_exact" + what, type, Moves::kReads, kBlock, [=](Data<T>& d, int64_t i) {
          add_lines(d.in(i), kLanes, kLineGroup, kLanes, d.wide.data(), d.sum.data(),
                    d.square.data());
        });
      }
    }
    add_normalize_rows(type);
    add_apply_rows("apply_rows", type, k.apply_rows);
    add_apply_rows("stream_rows", type, past_cache(k.stream_rows));
    add_apply_lines("apply_lines", type, k.apply_lines);
    add_apply_lines("stream_lines", type, past_cache(k.stream_lines));
  }

  // With the arguments that streaming kernels have besides. Null where there is none.
  template <class Kernel>
  static auto past_cache(Kernel stream) {
    const auto call = [stream](auto... of) {
      Seam seam;
      stream(of..., kAhead, seam);
      seam.leave();
    };
    return stream ? std::optional(call) : std::nullopt;
  }

  // Two rows from reading to writing.
  void add_normalize_rows(DType type) const {
    for (int r = 0; r < kReductions; ++r) {
      const auto normalize = k_.of(type).normalize_rows[r];
      for (const bool streams : {false, true}) {
        if (!normalize) continue;
        const std::string name = std::string("normalize_rows/") + kReductionNames[r];
        add(name + (streams ? "/streamed" : ""), type, Moves::kReadsAndWrites, 2 * kRow,
            [=](Data<T>& d, int64_t i) {
              const RowNorm<T> by = {
                  0, {kRow, 1e-5, 0, true}, d.one.data(), d.zero.data(), false, nullptr, nullptr,
                  2};
              Seam seam;
              normalize(d.in(i), kRow, d.out(i), kRow, 2, kRow, by, streams ? &seam : nullptr);
              seam.leave();
            });
      }
    }
  }

  // Two rows, which share weight and bias, or have an addend and end in ReLU.
  template <class Kernel>
  void add_apply_rows(const std::string& kernel, DType type, Kernel given) const {
    if (!given) return;
    const auto apply = *given;
    add(kernel, type, Moves::kReadsAndWrites, 2 * kRow, [=](Data<T>& d, int64_t i) {
      const RowMaps<T> maps = {
          d.zero.data(), d.one.data(), d.zero.data(), 1, d.one.data(), d.zero.data(), 1};
      apply(d.in(i), kRow, d.out(i), kRow, 2, kRow, maps);
    });
    add(kernel + "/added", type, Moves::kAdds, 2 * kRow, [=](Data<T>& d, int64_t i) {
      RowMaps<T> maps = {d.zero.data(), d.one.data(), d.zero.data()};
      maps.end = {d.added(i), kRow, true};
      apply(d.in(i), kRow, d.out(i), kRow, 2, kRow, maps);
    });
  }

  template <class Kernel>
  void add_apply_lines(const std::string& kernel, DType type, Kernel given) const {
    if (!given) return;
    const auto apply = *given;
    const auto add_lines = [&](const std::string& name, Moves moves) {
      add(name, type, moves, kBlock, [=](Data<T>& d, int64_t i) {
        LaneMaps<T> maps = {d.zero.data(), d.one.data(), d.zero.data()};
        if (moves == Moves::kAdds) maps.end = {d.added(i), kLanes, true};
        apply(d.in(i), kLanes, d.out(i), kLanes, kLineGroup, kLanes, maps);
      });
    };
    add_lines(kernel, Moves::kReadsAndWrites);
    add_lines(kernel + "/added", Moves::kAdds);
  }

  void add_converting(DType type) const {
    if (const auto widen = k_.widen[static_cast<int>(type)]) {
      add("widen", name_of(type) + "_" + name_of(kTypeOf<T>), type, kTypeOf<T>,
          Moves::kReadsAndWrites, kGroup,
          [=](Data<T>& d, int64_t i) { widen(d.in(i), d.template out<T>(i), kGroup); });
    }
    if (const auto narrow = k_.narrow[static_cast<int>(type)]) {
      add("narrow", name_of(kTypeOf<T>) + "_" + name_of(type), kTypeOf<T>, type,
          Moves::kReadsAndWrites, kGroup,
          [=](Data<T>& d, int64_t i) { narrow(d.template in<T>(i), d.out(i), kGroup); });
    }
    if (const auto map = k_.map_bytes[static_cast<int>(type)]) {
      for (const bool stream : {false, true}) {
        add(stream ? "map_bytes/streamed" : "map_bytes", "uint8_" + name_of(type), DType::kUInt8,
            type, Moves::kReadsAndWrites, kGroup, [=](Data<T>& d, int64_t i) {
              map(reinterpret_cast<const uint8_t*>(d.in(i)), d.out(i), kGroup, {128, 0.01f, 0},
                  stream);
            });
      }
    }
    if (const auto narrow = k_.stream_narrow[static_cast<int>(type)]) {
      add("stream_narrow", name_of(kTypeOf<T>) + "_" + name_of(type), kTypeOf<T>, type,
          Moves::kReadsAndWrites, kGroup, [=](Data<T>& d, int64_t i) {
            narrow(d.template in<T>(i), d.out(i), kGroup, d.in(i + kGroup));
          });
    }
  }

  // The weights are a tile's, in cache, and do not count as bytes.
  void add_weighted() const {
    add("select_weights", name_of(kTypeOf<T>), DType::kUInt8, kTypeOf<T>, Moves::kReads, kRow,
        [select = k_.select_weights](Data<T>& d, int64_t i) {
          select(reinterpret_cast<const uint8_t*>(d.in(i)), kRow, false, d.wide.data());
        });
    for (int r = 0; r < kReductions; ++r) {
      const std::string what = std::string("/") + kReductionNames[r];
      if (const auto reduce = k_.reduce_weighted[r]) {
        add("reduce_weighted" + what, kTypeOf<T>, Moves::kReads, kRow, [=](Data<T>& d, int64_t i) {
          benchmark::DoNotOptimize(reduce(d.template in<T>(i), d.wide.data(), kRow));
        });
      }
      if (const auto reduce = k_.reduce_selected[r]) {
        add("reduce_selected" + what, kTypeOf<T>, Moves::kReads, kRow, [=](Data<T>& d, int64_t i) {
          const auto* const some = reinterpret_cast<const uint8_t*>(d.one.data());
          double* const to = d.sum.data();
          reduce(d.template in<T>(i), 0, some, 0, 1, kRow, to, to + 1, to + 2, to + 3);
        });
      }
      if (const auto add_lines = k_.add_lines_weighted[r]) {
        add("add_lines_weighted" + what, kTypeOf<T>, Moves::kReads, kBlock,
            [=](Data<T>& d, int64_t i) {
              add_lines(d.template in<T>(i), d.wide.data(), kLanes, kLineGroup, kLanes,
                        d.wide.data(), d.number.data(), d.sum.data(), d.square.data());
            });
      }
    }
  }

  void add_activations() const {
    for (int a = 0; a < kActivations; ++a) {
      const auto activate = k_.activate[a];
      const std::string kernel = std::string("activate/") + kActivationNames[a];
      add(kernel, kTypeOf<T>, Moves::kReadsAndWrites, kGroup, [=](Data<T>& d, int64_t i) {
        activate(d.template in<T>(i), nullptr, d.template out<T>(i), kGroup);
      });
      const auto stream = k_.stream_activate[a];
      add("stream_" + kernel, kTypeOf<T>, Moves::kReadsAndWrites, kGroup,
          [=](Data<T>& d, int64_t i) {
            stream(d.template in<T>(i), d.template out<T>(i), kGroup, d.in(i + kGroup));
          });
    }
    const auto activate = k_.activate[0];
    add("activate/added", kTypeOf<T>, Moves::kReadsAndWrites, kGroup, [=](Data<T>& d, int64_t i) {
      activate(d.template in<T>(i), d.one.data(), d.template out<T>(i), kGroup);
    });
  }

  // The maps of a strip: many a call, however large the array is.
  void add_maps() const {
    const auto add = [this](const std::string& kernel, auto run) {
      const std::string name = kernel + "/" + name_of(kTypeOf<T>) + "/" + isa_;
      benchmark::RegisterBenchmark(name.c_str(), [run](benchmark::State& state) {
        std::vector<double> v(512, 1.5), to(3 * 512);
        std::vector<T> map(5 * 512, T(1));
        for (auto _ : state) {
          run(v.data(), to.data(), map.data());
          benchmark::DoNotOptimize(to.data());
          benchmark::DoNotOptimize(map.data());
        }
        state.SetItemsProcessed(state.iterations() * 512);
      });
    };
    add("choose_centers",
        [choose = k_.choose_centers](const double* v, double*, T* map) { choose(v, v, 512, map); });
    add("settle", [settle = k_.settle](const double* v, double* to, T*) {
      settle(v, v, v, 512, 64, 0, to, to + 512, to + 1024);
    });
    add("join_lanes", [join = k_.join_lanes](const double* v, double* to, T*) {
      join(v, v, v, 8, 64, true, 64, to, to + 512, to + 1024);
    });
    add("divide", [divide = k_.divide](const double* v, double* to, T*) {
      divide(v, 512, {768, 1e-5, 0, true}, to, to + 512);
    });
    add("make_maps", [make_maps = k_.make_maps](const double* v, double*, T* map) {
      const T* const affine = map + 3 * 512;
      make_maps(v, nullptr, v, affine, affine + 512, 512, map, map + 512, map + 1024);
    });
  }

  const std::string isa_;
  const Kernels<T>& k_;
};

// copy(x, y, bytes) of all of it.
template <class Copy>
void add_copy(const std::string& kernel, const std::string& isa, Copy copy) {
  for (const Size& size : kSizes) {
    const std::string name = "copy/" + kernel + "/" + isa + "/" + size.name;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      const Buffer x(size.bytes), y(size.bytes);
      for (auto _ : state) {
        copy(x.get(), y.get(), size.bytes);
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(state.iterations() * 2 * size.bytes);
    });
  }
}

void add_copies(const KernelTable& table) {
  const auto of = [](KernelTable::Copy copy) {
    return [copy](const char* x, char* y, int64_t bytes) {
      copy(reinterpret_cast<const float*>(x), reinterpret_cast<float*>(y), bytes / 4);
    };
  };
  add_copy("vector", table.isa, of(table.copy));
  add_copy("stream", table.isa, of(table.stream_copy));
}

// A tile of 512 pixels, in cache: split/uint8x3, join/uint8x3.
void add_pixels(const KernelTable& table) {
  for (int i = 0; i < 4; ++i) {
    for (const int channels : {2, 3, 4}) {
      const auto add = [&](const char* kernel, auto move) {
        const std::string name = std::string(kernel) + "/uint" + std::to_string(8 << i) + "x" +
                                 std::to_string(channels) + "/" + table.isa;
        const int64_t bytes = kGroup * channels << i;
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          const Buffer x(bytes), y(bytes);
          for (auto _ : state) {
            move(x.get(), kGroup, channels, y.get());
            benchmark::ClobberMemory();
          }
          state.SetBytesProcessed(state.iterations() * 2 * bytes);
        });
      };
      add("split", table.split[i]);
      add("join", table.join[i]);
    }
  }
}

}  // namespace
}  // namespace normfast

int main(int argc, char** argv) {
  using namespace normfast;
  add_copy("memcpy", "libc", [](const char* x, char* y, int64_t bytes) {
    std::memcpy(y, x, static_cast<std::size_t>(bytes));
  });
  for (const KernelTable* table : available_kernels()) {
    add_copies(*table);
    Benchmarks<float>(*table).add_all();
    Benchmarks<double>(*table).add_all();
    add_pixels(*table);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
