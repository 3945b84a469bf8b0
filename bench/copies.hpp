// The yardstick: copies of the same bytes, as fast as this processor makes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace normfast {

// Whole cache lines, at addresses that are multiples of 64.
using Copy = void (*)(const char* from, char* to, std::int64_t bytes);

struct NamedCopy {
  const char* name;
  Copy copy;
};

inline void copy_memcpy(const char* from, char* to, std::int64_t bytes) {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

#if defined(__x86_64__)

// With ordinary stores, and with stores that go past the cache.
__attribute__((target("avx2"))) inline void copy_avx2(const char* from, char* to,
                                                      std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 32) {
    const auto* p = reinterpret_cast<const __m256i*>(from + i);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + i), _mm256_load_si256(p));
  }
}

__attribute__((target("avx2"))) inline void stream_avx2(const char* from, char* to,
                                                        std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 32) {
    const auto* p = reinterpret_cast<const __m256i*>(from + i);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), _mm256_load_si256(p));
  }
  _mm_sfence();
}

__attribute__((target("avx512f"))) inline void copy_avx512(const char* from, char* to,
                                                           std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) {
    _mm512_store_si512(to + i, _mm512_load_si512(from + i));
  }
}

__attribute__((target("avx512f"))) inline void stream_avx512(const char* from, char* to,
                                                             std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_load_si512(from + i));
  }
  _mm_sfence();
}

#endif

// The copies with an ISA's registers.
inline std::vector<NamedCopy> copies_of([[maybe_unused]] const char* isa) {
#if defined(__x86_64__)
  if (std::strcmp(isa, "avx2") == 0) return {{"vector", copy_avx2}, {"stream", stream_avx2}};
  if (std::strcmp(isa, "avx512") == 0) return {{"vector", copy_avx512}, {"stream", stream_avx512}};
#endif
  return {};
}

}  // namespace normfast
