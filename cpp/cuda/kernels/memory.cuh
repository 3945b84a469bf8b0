// Between memory and registers: elements of any type, by vectors of 16 bytes where they lie so.
#pragma once

#include "cuda/simt.hpp"
#include "cuda/task.hpp"
#ifdef NORMFAST_CUDA_EMULATED
#include "simd/half.hpp"
#endif

namespace normfast::cuda {

template <class T>
inline constexpr int kVector = 16 / sizeof(T);  // elements

#ifdef NORMFAST_CUDA_EMULATED

template <class T>
float widened(T value) {
  if constexpr (sizeof(T) == 2) return to_float(value);
  return static_cast<float>(value);
}
template <class T>
T narrowed(float value) {
  if constexpr (sizeof(T) == 2) return from_float<T>(value);
  return static_cast<T>(value);
}
template <>
inline float widened(Half value) {
  return to_float(value);
}
template <>
inline float widened(BFloat16 value) {
  return to_float(value);
}
template <>
inline Half narrowed<Half>(float value) {
  return from_float<Half>(value);
}
template <>
inline BFloat16 narrowed<BFloat16>(float value) {
  return from_float<BFloat16>(value);
}

template <class T>
uint32_t packed(float low, float high) {
  return narrowed<T>(low).bits | static_cast<uint32_t>(narrowed<T>(high).bits) << 16;
}

template <std::size_t kWords>
void store_words(void* p, const uint32_t (&words)[kWords]) {
  // As the instruction, which takes no other address.
  if (reinterpret_cast<uintptr_t>(p) % sizeof words != 0) emulation::stop("misaligned store");
  __builtin_memcpy(p, words, sizeof words);
}

#else

__device__ __forceinline__ float widened(float value) { return value; }
__device__ __forceinline__ float widened(double value) { return static_cast<float>(value); }
__device__ __forceinline__ float widened(Half value) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
}
__device__ __forceinline__ float widened(BFloat16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}

template <class T>
__device__ __forceinline__ T narrowed(float value) {
  return static_cast<T>(value);
}
template <>
__device__ __forceinline__ Half narrowed<Half>(float value) {
  Half narrow;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
  return narrow;
}
template <>
__device__ __forceinline__ BFloat16 narrowed<BFloat16>(float value) {
  BFloat16 narrow;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
  return narrow;
}

// Two elements, one 32-bit word.
template <class T>
__device__ __forceinline__ uint32_t packed(float low, float high);
template <>
__device__ __forceinline__ uint32_t packed<Half>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <>
__device__ __forceinline__ uint32_t packed<BFloat16>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

// One instruction each: left to itself the compiler stores word by word.
__device__ __forceinline__ void store_words(void* p, const uint32_t (&w)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
               "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
               : "memory");
}
__device__ __forceinline__ void store_words(void* p, const uint32_t (&w)[2]) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)), "r"(w[0]),
               "r"(w[1])
               : "memory");
}

#endif

// As much of an array as one instruction moves.
template <int kBytes>
struct Piece {
  using Type = uint4;
};
template <>
struct Piece<8> {
  using Type = uint2;
};

// `kWidth` elements from `p`. Whole: it is aligned to as many, up to 16 bytes.
template <class T, int kWidth>
__device__ __forceinline__ void load(const T* p, bool whole, float (&values)[kWidth]) {
  if (kWidth == 1 || !whole) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = widened(p[i]);
  } else if constexpr (kWidth > 1) {
    constexpr int kBytes = kWidth * static_cast<int>(sizeof(T));
    using P = typename Piece<kBytes>::Type;
    constexpr int kPieces = kBytes / static_cast<int>(sizeof(P));
    struct alignas(16) {
      P pieces[kPieces];
    } raw;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) raw.pieces[i] = reinterpret_cast<const P*>(p)[i];
    T elements[kWidth];
    __builtin_memcpy(elements, &raw, sizeof elements);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = widened(elements[i]);
  }
}

template <class T, int kWidth>
__device__ __forceinline__ void store(T* p, bool whole, const float (&values)[kWidth]) {
  if (kWidth == 1 || !whole) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) p[i] = narrowed<T>(values[i]);
  } else if constexpr (kWidth > 1) {
    constexpr int kWords = kWidth * static_cast<int>(sizeof(T)) / 4,
                  kMost = kWords < 4 ? kWords : 4;
    constexpr int kEach = kWidth / kWords;  // elements in a word
#pragma unroll
    for (int i = 0; i < kWords; i += kMost) {
      uint32_t words[kMost];
#pragma unroll
      for (int k = 0; k < kMost; ++k) {
        if constexpr (kEach == 2) {
          words[k] = packed<T>(values[2 * (i + k)], values[2 * (i + k) + 1]);
        } else {
          __builtin_memcpy(&words[k], &values[i + k], sizeof words[k]);
        }
      }
      store_words(p + i * kEach, words);
    }
  }
}

// Arrays beside x: their type is a branch that all threads take alike, not a template.
template <int kWidth>
__device__ __forceinline__ void load(const Array& array, int64_t index, bool whole,
                                     float (&values)[kWidth]) {
  if (array.type == DType::kFloat32) {
    load(reinterpret_cast<const float*>(array.data) + index, whole, values);
  } else if (array.type == DType::kFloat16) {
    load(reinterpret_cast<const Half*>(array.data) + index, whole, values);
  } else {
    load(reinterpret_cast<const BFloat16*>(array.data) + index, whole, values);
  }
}

template <int kWidth>
__device__ __forceinline__ void store(const Array& array, int64_t index, bool whole,
                                      const float (&values)[kWidth]) {
  if (array.type == DType::kFloat32) {
    store(reinterpret_cast<float*>(array.data) + index, whole, values);
  } else if (array.type == DType::kFloat16) {
    store(reinterpret_cast<Half*>(array.data) + index, whole, values);
  } else {
    store(reinterpret_cast<BFloat16*>(array.data) + index, whole, values);
  }
}

// One entry of a parameter, of which float64 may hold more than float32 does.
__device__ __forceinline__ float entry(const Array& array, int64_t index) {
  if (array.type == DType::kFloat64) {
    return static_cast<float>(reinterpret_cast<const double*>(array.data)[index]);
  }
  float value[1];
  load(array, index, false, value);
  return value[0];
}
__device__ __forceinline__ double exact_entry(const Array& array, int64_t index) {
  if (array.type == DType::kFloat64) return reinterpret_cast<const double*>(array.data)[index];
  return entry(array, index);
}

__device__ inline float entry(const Lookup& p, int64_t line, int64_t lane) {
  return entry(p.array, p.of_line(line) + p.of_lane(lane)) + p.offset;
}
__device__ inline double exact_entry(const Lookup& p, int64_t line, int64_t lane) {
  return exact_entry(p.array, p.of_line(line) + p.of_lane(lane));
}

// A parameter's entries for `kWidth` lanes from `lane` on; `start` is of_line of their line. Lanes
// are of 32 bits where the index is.
template <int kWidth, class Index>
__device__ __forceinline__ void look_up(const Lookup& p, int64_t start, Index lane,
                                        float (&values)[kWidth]) {
  if (p.vectors) {
    load(p.array, start + (p.wrap == 0 ? lane : lane % static_cast<Index>(p.wrap)), true, values);
  } else {
    // One division for all: the lanes are neighbours.
    const Index each = static_cast<Index>(p.per_lane), wrap = static_cast<Index>(p.wrap);
    Index at = lane / each, rest = lane - at * each;
    if (wrap != 0) at %= wrap;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      values[i] = i > 0 && rest > 0 ? values[i - 1] : entry(p.array, start + at);
      if (++rest < each) continue;
      rest = 0;
      if (++at == wrap) at = 0;
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) values[i] += p.offset;
}

}  // namespace normfast::cuda
