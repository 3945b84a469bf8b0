// Staging: whatever is not contiguous is copied through a tile that stays in cache, so that kernels
// see contiguous arrays of the computing type only.
#pragma once

#include <cstring>

#include "plan/nest.hpp"

namespace normfast {

template <class T>
T read(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// Elements [begin, end) of the nest, in order.
template <class T>
void gather(const Nest& nest, Operand o, const char* base, int64_t begin, int64_t end, T* tile) {
  for_runs(nest, begin, end, [&](int64_t, const Offsets& at, int64_t count) {
    const char* p = base + at[o];
    const int64_t step = nest.inner_step(o);
    if (step == static_cast<int64_t>(sizeof(T))) {
      std::memcpy(tile, p, static_cast<std::size_t>(count) * sizeof(T));
    } else {
      for (int64_t i = 0; i < count; ++i) tile[i] = read<T>(p + i * step);
    }
    tile += count;
  });
}

template <class T>
void scatter(const Nest& nest, Operand o, char* base, int64_t begin, int64_t end, const T* tile) {
  for_runs(nest, begin, end, [&](int64_t, const Offsets& at, int64_t count) {
    char* p = base + at[o];
    const int64_t step = nest.inner_step(o);
    if (step == static_cast<int64_t>(sizeof(T))) {
      std::memcpy(p, tile, static_cast<std::size_t>(count) * sizeof(T));
    } else {
      for (int64_t i = 0; i < count; ++i) std::memcpy(p + i * step, tile + i, sizeof(T));
    }
    tile += count;
  });
}

// Whether kernels may walk an operand directly: all its addresses are those of a T.
template <class T>
bool aligned(const char* base, const Nest& nest, Operand o) {
  bool ok = reinterpret_cast<std::uintptr_t>(base) % sizeof(T) == 0;
  for (int i = 0; i < nest.ndim(); ++i) {
    ok &= nest[i].step[o] % static_cast<int64_t>(sizeof(T)) == 0;
  }
  return ok;
}

}  // namespace normfast
