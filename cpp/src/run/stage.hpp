// Staging: whatever is not contiguous, of another type, or a sum is brought into a tile that stays
// in cache, so that kernels see contiguous arrays only; results go out the same way.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "run/work.hpp"

namespace normfast {

// Runs shorter than this are gathered, several to a tile.
inline constexpr int64_t kShortRun = 64;
inline constexpr int64_t kFetched = 1024;  // elements ahead that are fetched while results leave

// Tiles of this thread, at the start of a cache line. A chunk of a row fits, and so does a group of
// lines of a strip.
template <class T, int kWhich = 0, int64_t kElements = kRowChunk>
T* tile() {
  struct alignas(64) Tile {
    T elements[kElements];
  };
  thread_local const std::unique_ptr<Tile> memory(new Tile);
  return memory->elements;
}

// ---- as they are ------------------------------------------------------------------------------

// Every kStep-th of `count` elements, a step that the compiler knows and has shuffles for.
template <int kStep, class U>
void gather_every(const char* from, int64_t count, char* to) {
  const U* __restrict x = reinterpret_cast<const U*>(from);
  U* __restrict y = reinterpret_cast<U*>(to);
  for (int64_t i = 0; i < count; ++i) y[i] = x[kStep * i];
}

template <class U>
void gather_units(const Nest& nest, Operand o, const char* base, int64_t begin, int64_t end,
                  char* tile) {
  constexpr int64_t unit = sizeof(U);
  for_runs(nest, begin, end, [&](int64_t, const Offsets& at, int64_t count) {
    const char* p = base + at[o];
    const int64_t step = nest.inner_step(o);
    const bool whole = reinterpret_cast<std::uintptr_t>(p) % sizeof(U) == 0;
    if (step == unit) {
      std::memcpy(tile, p, static_cast<std::size_t>(count * unit));
    } else if (whole && step == 2 * unit) {
      gather_every<2, U>(p, count, tile);
    } else {
      for (int64_t i = 0; i < count; ++i) std::memcpy(tile + i * unit, p + i * step, sizeof(U));
    }
    tile += count * unit;
  });
}

template <class U>
void scatter_units(const Nest& nest, Operand o, char* base, int64_t begin, int64_t end,
                   const char* tile) {
  constexpr int64_t unit = sizeof(U);
  for_runs(nest, begin, end, [&](int64_t, const Offsets& at, int64_t count) {
    char* p = base + at[o];
    const int64_t step = nest.inner_step(o);
    if (step == unit) {
      std::memcpy(p, tile, static_cast<std::size_t>(count * unit));
    } else {
      for (int64_t i = 0; i < count; ++i) std::memcpy(p + i * step, tile + i * unit, sizeof(U));
    }
    tile += count * unit;
  });
}

// Elements [begin, end) of the nest, in order, `unit` bytes each.
inline void gather(const Nest& nest, Operand o, const char* base, int64_t begin, int64_t end,
                   int64_t unit, void* tile) {
  char* to = static_cast<char*>(tile);
  if (unit == 4) return gather_units<uint32_t>(nest, o, base, begin, end, to);
  if (unit == 8) return gather_units<uint64_t>(nest, o, base, begin, end, to);
  if (unit == 2) return gather_units<uint16_t>(nest, o, base, begin, end, to);
  gather_units<uint8_t>(nest, o, base, begin, end, to);
}

inline void scatter(const Nest& nest, Operand o, char* base, int64_t begin, int64_t end,
                    int64_t unit, const void* tile) {
  const char* from = static_cast<const char*>(tile);
  if (unit == 4) return scatter_units<uint32_t>(nest, o, base, begin, end, from);
  if (unit == 8) return scatter_units<uint64_t>(nest, o, base, begin, end, from);
  scatter_units<uint16_t>(nest, o, base, begin, end, from);
}

// Whether kernels may walk an operand directly: all its addresses are those of such an element.
inline bool aligned(const char* base, const Nest& nest, Operand o, int64_t unit) {
  bool ok = reinterpret_cast<std::uintptr_t>(base) % static_cast<std::uintptr_t>(unit) == 0;
  for (int i = 0; i < nest.ndim(); ++i) ok &= nest[i].step[o] % unit == 0;
  return ok;
}

// Whether the nest is one run of neighbours.
inline bool one_run(const Nest& nest, Operand o, int64_t unit) {
  return nest.ndim() <= 1 && (nest.size() == 1 || nest.inner_step(o) == unit);
}

// ---- in the computing type --------------------------------------------------------------------

// body(begin, end) for pieces of at most kGroup elements.
template <class Body>
void for_pieces(int64_t begin, int64_t end, Body body) {
  for (int64_t b = begin; b < end; b += kGroup) body(b, std::min(end, b + kGroup));
}

template <class T>
void fetch(const Kernels<T>& kernels, const Array& array, const Nest& nest, Operand o,
           const Offsets& start, int64_t begin, int64_t end, T* tile) {
  const char* base = array.data + start[o];
  const int64_t unit = array.unit();
  if (array.type == kTypeOf<T>) return gather(nest, o, base, begin, end, unit, tile);
  const auto widen = kernels.widen[static_cast<int>(array.type)];
  if (nest.inner_step(o) == unit && nest.inner_size() >= kShortRun) {
    for_runs(nest, begin, end, [&](int64_t i, const Offsets& at, int64_t count) {
      widen(base + at[o], tile + (i - begin), count);
    });
    return;
  }
  for_pieces(begin, end, [&](int64_t b, int64_t e) {
    alignas(8) char raw[kGroup * 8];
    gather(nest, o, base, b, e, unit, raw);
    widen(raw, tile + (b - begin), e - b);
  });
}

template <class T>
void put(const Kernels<T>& kernels, const Array& array, const Nest& nest, Operand o,
         const Offsets& start, int64_t begin, int64_t end, const T* tile) {
  char* base = array.data + start[o];
  const int64_t unit = array.unit();
  if (array.type == kTypeOf<T>) return scatter(nest, o, base, begin, end, unit, tile);
  const auto narrow = kernels.narrow[static_cast<int>(array.type)];
  if (nest.inner_step(o) == unit && nest.inner_size() >= kShortRun) {
    for_runs(nest, begin, end, [&](int64_t i, const Offsets& at, int64_t count) {
      narrow(tile + (i - begin), base + at[o], count);
    });
    return;
  }
  for_pieces(begin, end, [&](int64_t b, int64_t e) {
    alignas(8) char raw[kGroup * 8];
    narrow(tile + (b - begin), raw, e - b);
    scatter(nest, o, base, b, e, unit, raw);
  });
}

// y = activation(y + addend) over a tile; the addend null or not.
template <class T>
void activate(const Work& work, const Kernels<T>& kernels, bool adds, Activation activation,
              const Nest& nest, const Offsets& start, int64_t begin, int64_t end, T* tile) {
  const auto kernel = kernels.activate[static_cast<int>(activation)];
  for_pieces(begin, end, [&](int64_t b, int64_t e) {
    T other[kGroup];
    if (adds) fetch(kernels, work.addend, nest, kAddend, start, b, e, other);
    T* const y = tile + (b - begin);
    kernel(y, adds ? other : nullptr, y, e - b);
  });
}

// What is normalised: x, or x and its residual.
template <class T>
void fetch_input(const Work& work, const Kernels<T>& kernels, const Nest& nest,
                 const Offsets& start, int64_t begin, int64_t end, T* tile) {
  fetch(kernels, work.x, nest, kX, start, begin, end, tile);
  if (!work.residual()) return;
  activate(work, kernels, true, Activation::kNone, nest, start, begin, end, tile);
}

// What comes after the map: addition, activation, and the way out.
template <class T>
void finish_output(const Work& work, const Kernels<T>& kernels, const Nest& nest,
                   const Offsets& start, int64_t begin, int64_t end, T* tile) {
  if (work.adds() || work.activation != Activation::kNone) {
    activate(work, kernels, work.adds(), work.activation, nest, start, begin, end, tile);
  }
  put(kernels, work.y, nest, kY, start, begin, end, tile);
}

// Whether an array lies as runs of neighbours, innermost, where it is given.
inline bool lies_in_runs(const Array& array, const Nest& nest, Operand o) {
  return !array || nest.inner_size() == 1 || nest.inner_step(o) == array.unit();
}

// Whether x, y and what is added or written beside them do.
inline bool lie_in_runs(const Work& work, const Nest& nest) {
  return lies_in_runs(work.x, nest, kX) && lies_in_runs(work.y, nest, kY) &&
         lies_in_runs(work.addend, nest, kAddend) && lies_in_runs(work.sum, nest, kSum);
}

// Whether p, in an array of such elements, is the address of a T.
template <class T>
bool holds(DType type, const char* p) {
  return type == kTypeOf<T> && reinterpret_cast<std::uintptr_t>(p) % sizeof(T) == 0;
}

// A run of an array in the computing type: where it lies, or widened.
template <class T>
const T* widened(const Kernels<T>& kernels, const Array& array, int64_t offset, int64_t count,
                 T* tile) {
  const char* p = array.data + offset;
  if (holds<T>(array.type, p)) return reinterpret_cast<const T*>(p);
  kernels.widen[static_cast<int>(array.type)](p, tile, count);
  return tile;
}

// body(begin, end) for pieces of at most kGroup of the elements from `to` on, cut where its lines
// end: a line written in two parts would be read first.
template <class Body>
void for_line_pieces(const char* to, int64_t unit, int64_t count, Body body) {
  const int64_t beyond = static_cast<int64_t>(reinterpret_cast<std::uintptr_t>(to) % 64) / unit;
  for (int64_t b = 0, e; b < count; b = e) {
    e = std::min(count, (b + beyond) / kGroup * kGroup + kGroup - beyond);
    body(b, e);
  }
}

// At most kGroup results out of a tile: y = activation(tile), rounded on the way. `next` is what is
// read soon.
template <class T>
void leave(const Work& work, const Kernels<T>& kernels, const Array& array, int64_t offset,
           int64_t count, const T* tile, Activation activation, const void* next) {
  char* const out = array.data + offset;
  const int a = static_cast<int>(activation), t = static_cast<int>(array.type);
  if (holds<T>(array.type, out)) {
    T* const y = reinterpret_cast<T*>(out);
    if (work.stream) return kernels.stream_activate[a](tile, y, count, next);
    return kernels.activate[a](tile, nullptr, y, count);
  }
  alignas(64) T results[kGroup];
  if (activation != Activation::kNone) {
    kernels.activate[a](tile, nullptr, results, count);
    tile = results;
  }
  if (work.stream && kernels.stream_narrow[t]) {
    kernels.stream_narrow[t](tile, out, count, next);
  } else {
    kernels.narrow[t](tile, out, count);
  }
}

// Bytes ahead that are fetched of what is read once, in the order of memory. (Beside an addend, no
// more than what is read next: the processor fetches two streams ahead as well by itself.)
inline int64_t ahead_of(const Work& work) { return work.adds() ? 64 : 4096; }

// Asks for `bytes` that are read soon.
inline void fetch_ahead(const char* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

// What fetch_input does, and the sum left where it is wanted, for a run of neighbours.
template <class T>
void fetch_run(const Work& work, const Kernels<T>& kernels, const Offsets& at, int64_t count,
               T* tile) {
  if (!work.residual() && !work.sum) {
    const char* const x = work.x.data + at[kX];
    if (work.x.type != kTypeOf<T>) {
      return kernels.widen[static_cast<int>(work.x.type)](x, tile, count);
    }
    std::memcpy(tile, x, static_cast<std::size_t>(count) * sizeof(T));
    return;
  }
  const Array& to = work.sum ? work.sum : work.x;
  const int64_t offset = at[work.sum ? kSum : kX];
  for_line_pieces(to.data + offset, to.unit(), count, [&](int64_t b, int64_t e) {
    const int64_t n = e - b;
    T other[kGroup];
    const T* x = widened(kernels, work.x, at[kX] + b * work.x.unit(), n, tile + b);
    const T* addend = nullptr;
    if (work.residual()) {
      addend = widened(kernels, work.addend, at[kAddend] + b * work.addend.unit(), n, other);
    }
    if (addend || x != tile + b) {
      kernels.activate[static_cast<int>(Activation::kNone)](x, addend, tile + b, n);
    }
    if (work.sum) {
      leave<T>(work, kernels, work.sum, offset + b * to.unit(), n, tile + b, Activation::kNone,
               x + kFetched);
    }
  });
}

// The same for a nest that lies in runs, which may be far apart: those a few ahead are asked for.
template <class T>
void fetch_runs(const Work& work, const Kernels<T>& kernels, const Nest& nest, const Offsets& start,
                T* tile) {
  constexpr int64_t kAhead = 8;
  const Dim& runs = nest[nest.ndim() > 1 ? nest.ndim() - 2 : 0];
  for_rows(nest, 0, nest.size(), [&](int64_t first, const Offsets& o, int64_t rows, int64_t count) {
    Offsets at = start;
    at.add(o, 1);
    for (int64_t r = 0; r < rows; ++r) {
      if (rows > 1) {
        fetch_ahead(work.x.data + at[kX] + kAhead * runs.step[kX], count * work.x.unit());
      }
      fetch_run(work, kernels, at, count, tile + first + r * count);
      if (r + 1 < rows) at.add(runs.step, 1);
    }
  });
}

// The activation as kernels leave it to a tile: whole, or done where their maps may end in ReLU.
inline Activation left_after_map(const Work& work, bool ends) {
  return ends && work.activation == Activation::kRelu ? Activation::kNone : work.activation;
}

// Ends a map with the addend, null or in step with y, and the activation but for what is left.
// Where it stays: a copy would wait for what was just stored.
inline void end_map(Ending& end, const Work& work, Activation left, const void* addend,
                    int64_t next) {
  end.addend = addend;
  end.next = next;
  end.relu = left != work.activation;
}

// What map(x, y, addend) and then `left` do, for at most kGroup elements that are neighbours in
// every array: without copies where no type changes. x is `staged`, or as it lies.
template <class T, class Map>
void map_run(const Work& work, const Kernels<T>& kernels, const Offsets& at, int64_t count,
             const T* staged, Activation left, Map map) {
  alignas(64) T x_tile[kGroup], y_tile[kGroup], other[kGroup];
  const T* x = staged;
  if (!x && work.residual()) {
    fetch_run(work, kernels, at, count, x_tile);
    x = x_tile;
  } else if (!x) {
    x = widened(kernels, work.x, at[kX], count, x_tile);
  }
  const T* addend =
      work.adds() ? widened(kernels, work.addend, at[kAddend], count, other) : nullptr;
  char* const out = work.y.data + at[kY];
  if (left == Activation::kNone && !work.stream && holds<T>(work.y.type, out)) {
    return map(x, reinterpret_cast<T*>(out), addend);
  }
  // What is read again soon stays in an aligned tile: a load that straddles two lines waits for the
  // stores before it.
  map(x, y_tile, addend);
  leave(work, kernels, work.y, at[kY], count, y_tile, left,
        work.x.data + at[kX] + kFetched * work.x.unit());
}

// A byte an element of the mask: where it lies, or a copy.
inline const uint8_t* selection(const Work& work, const Nest& nest, const Offsets& start,
                                int64_t begin, int64_t end, uint8_t* copy) {
  const char* const where = work.where + start[kWhere];
  if (one_run(nest, kWhere, 1)) return reinterpret_cast<const uint8_t*>(where) + begin;
  gather(nest, kWhere, where, begin, end, 1, copy);
  return copy;
}

// The weight each element counts by: its sample weight, or 1; 0 where it is not selected.
template <class T>
void fetch_weights(const Work& work, const Kernels<T>& kernels, const Nest& nest,
                   const Offsets& start, int64_t begin, int64_t end, double* tile) {
  if (work.sample_weight) {
    gather(nest, kSampleWeight, work.sample_weight + start[kSampleWeight], begin, end,
           sizeof(double), tile);
  }
  if (!work.where) return;
  for_pieces(begin, end, [&](int64_t b, int64_t e) {
    uint8_t copy[kGroup];
    kernels.select_weights(selection(work, nest, start, b, e, copy), e - b,
                           work.sample_weight != nullptr, tile + (b - begin));
  });
}

}  // namespace normfast
