#include "dispatch/dispatch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "normfast/info.hpp"
#include "normfast/normfast.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace normfast {

extern const KernelTable kKernelsScalar;
#if defined(__x86_64__)
extern const KernelTable kKernelsAvx2;
extern const KernelTable kKernelsAvx512;
extern const BFloat16Kernels kKernelsAvx512Bf16;
#elif defined(__aarch64__)
extern const KernelTable kKernelsNeon;
#endif

namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool bit(unsigned word, int i) { return (word >> i) & 1; }

// The register states the operating system saves. XGETBV itself needs OSXSAVE.
unsigned saved_states(const Registers& leaf1) {
  if (!bit(leaf1.c, 27)) return 0;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool runs(const char* isa) {
  const Registers one = cpuid(1), seven = cpuid(7);
  const unsigned states = saved_states(one);
  const bool avx2 = (states & 0x6) == 0x6 && bit(one.c, 28) && bit(one.c, 12) && bit(one.c, 29) &&
                    bit(seven.b, 5) && bit(seven.b, 8);  // AVX, FMA, F16C, AVX2, BMI2
  if (std::strcmp(isa, "avx2") == 0) return avx2;
  if (std::strcmp(isa, "avx512") == 0) {
    return avx2 && (states & 0xe6) == 0xe6 && bit(seven.b, 16) && bit(seven.b, 17) &&
           bit(seven.b, 30) && bit(seven.b, 31);  // F, DQ, BW, VL
  }
  if (std::strcmp(isa, "avx512_bf16") == 0) return runs("avx512") && bit(cpuid(7, 1).a, 5);
  return true;
}

// AVX-512 with its own rounding to bfloat16.
const KernelTable& avx512_bf16() {
  static const KernelTable table = [] {
    constexpr auto kType = static_cast<std::size_t>(DType::kBFloat16);
    const BFloat16Kernels& own = kKernelsAvx512Bf16;
    KernelTable t = kKernelsAvx512;
    t.isa = "avx512_bf16";
    t.f32.direct[kType] = own.direct;
    t.f32.narrow[kType] = own.narrow;
    t.f32.stream_narrow[kType] = own.stream_narrow;
    t.f32.map_bytes[kType] = own.map_bytes;
    t.f64.narrow[kType] = own.narrow_double;
    return t;
  }();
  return table;
}

#else

bool runs(const char*) { return true; }  // NEON is part of AArch64

#endif

const KernelTable* find(const std::string& name, const char* source) {
  std::string names;
  for (const KernelTable* table : available_kernels()) {
    if (name == table->isa) return table;
    names += (names.empty() ? "" : ", ") + std::string(table->isa);
  }
  throw ValueError(source + name + ": this processor and build support " + names);
}

const KernelTable* choose() {
  const char* forced = std::getenv("NORMFAST_ISA");
  if (forced && *forced) return find(forced, "NORMFAST_ISA=");
  return available_kernels().back();
}

std::atomic<const KernelTable*>& current() {
  static std::atomic<const KernelTable*> table{choose()};
  return table;
}

}  // namespace

const std::vector<const KernelTable*>& built_kernels() {
  static const std::vector<const KernelTable*> tables = {
      &kKernelsScalar,
#if defined(__x86_64__)
      &kKernelsAvx2,
      &kKernelsAvx512,
      &avx512_bf16(),
#elif defined(__aarch64__)
      &kKernelsNeon,
#endif
  };
  return tables;
}

const std::vector<const KernelTable*>& available_kernels() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> found;
    for (const KernelTable* table : built_kernels()) {
      if (runs(table->isa)) found.push_back(table);
    }
    return found;
  }();
  return tables;
}

const KernelTable& kernels() { return *current().load(std::memory_order_relaxed); }

void use_isa(const std::string& name) { current() = find(name, "isa "); }

std::string cpu_name() {
#if defined(__x86_64__)
  char name[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    const Registers r = cpuid(0x80000002u + i);
    const unsigned words[4] = {r.a, r.b, r.c, r.d};
    std::memcpy(name + 16 * i, words, 16);
  }
  const std::string text(name);
  const auto begin = text.find_first_not_of(' ');
  if (begin != std::string::npos) return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
#endif
  return "unknown";
}

}  // namespace normfast
