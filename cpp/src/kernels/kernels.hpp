// What the kernels are: the constants that fix every rounding, and the table each ISA fills in.
//
// Kernels are single-threaded, noexcept and allocate nothing. This header is seen by files compiled
// for different ISAs, so it holds no function that a compiler could emit.
#pragma once

#include <cstdint>

#include "normfast/types.hpp"

namespace normfast {

// Numerical blocks. They are part of the results' definition (docs/numerics.md): changing one
// changes bits and may break the error bound. None may depend on the machine.
inline constexpr int64_t kGroup = 512;       // elements whose float32 sums are then kept in float64
inline constexpr int64_t kRowChunk = 16384;  // elements between two merges of Moments
inline constexpr int64_t kRowDirect = 96;  // rows up to this length are summed in float64 at once,
inline constexpr int64_t kRowTurned = 32;  // shorter ones than this in the order of their elements
inline constexpr int64_t kLineGroup = 32;  // columns: lines whose float32 sums are then widened
inline constexpr int64_t kLineChunk = 1024;  // columns: lines between two merges of Moments

// Lines of bytes that are summed at once. Their sums are exact: it changes no bits.
inline constexpr int64_t kByteGroup = 128;

// What is reduced. Squares, magnitudes and the maximum are moments about zero and leave their
// result in m2. Sums, for bytes only, are exact integers: the sum in mean, that of squares in m2.
enum class Reduction : int { kMoments, kSquares, kMagnitudes, kMaximum, kSums };
inline constexpr int kReductions = 5;

// Sixteen bits, as they lie in memory.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// The statistics of `count` numbers: their mean as a sum of two doubles, and the sum of squared
// deviations from it (or the sum of squares, of magnitudes, the largest magnitude).
struct Moments {
  double count;
  double mean;
  double mean_lo;
  double m2;
};

// The affine map of one statistic: y = (x - center) * scale + shift.
template <class T>
struct Normalizer {
  T center;
  T scale;
  T shift;
};

// How a map may end: with y + addend (null: nothing), then ReLU. The addend is elements of x's
// type, `next` of them from one row or line to the next.
struct Ending {
  const void* addend = nullptr;
  int64_t next = 0;
  bool relu = false;
};

// A map a row, `next` elements from one's to the next's, then y * weight + bias: arrays along the
// row (step 1) or constants (step 0), weight_next and bias_next elements from one row's to the
// next's. Weight, bias or both may be null.
template <class T>
struct RowMaps {
  const T* center;
  const T* scale;
  const T* shift;
  int64_t next = 1;
  const T* weight = nullptr;
  const T* bias = nullptr;
  int64_t step = 0;
  int64_t weight_next = 0;
  int64_t bias_next = 0;
  Ending end = {};  // beside arrays of weight or bias there is none
};

// A map a lane, the same for all lines, then y * weight[i * step] + bias[i * step]; weight_next and
// bias_next elements from one line's to the next's.
template <class T>
struct LaneMaps {
  const T* center;
  const T* scale;
  const T* shift;
  const T* weight = nullptr;
  const T* bias = nullptr;
  int64_t step = 0;
  int64_t weight_next = 0;
  int64_t bias_next = 0;
  Ending end = {};  // beside weight or bias there is none
};

// The end of what was streamed, where that is within a cache line: it waits for the elements that
// follow it in y, so that the line leaves whole. A line written in parts is read from memory first.
struct Seam {
  alignas(64) char bytes[64];
  char* line = nullptr;  // where they belong
  int64_t filled = 0;

  // Nothing followed. (Inlined, as no function may be shared by files of different ISAs.)
  [[gnu::always_inline]] void leave() {
    if (line) __builtin_memcpy(line, bytes, static_cast<unsigned long>(filled));
    line = nullptr;
  }
};

// What x - mean is divided by: max(sqrt(m2 / per + plus), least), with or without the root.
struct Divider {
  double per;
  double plus;
  double least;
  bool root;
};

inline constexpr int64_t kRowsTogether = 32;

// What is added to rows of x before all else, where it is given: the sums of a step stay in a tile,
// and go to `sum`, unless that is null, past the cache where there is a seam. Residual and sum are
// elements of x's type.
template <class T>
struct RowSums {
  const void* residual = nullptr;
  int64_t residual_next = 0;
  void* sum = nullptr;
  int64_t sum_next = 0;
  Seam* seam = nullptr;
  T* tile = nullptr;
};

// How rows go all the way from x to y. Weight and bias are arrays along the row, the same for all
// of them, or null, and then ReLU may follow; mean and rstd receive one a row, or are null.
template <class T>
struct RowNorm {
  double tiny;  // see ReduceRow
  Divider by;
  const T* weight;
  const T* bias;
  bool relu;
  double* mean;
  double* rstd;
  int64_t together;      // rows a step, at most kRowsTogether
  bool fetches = false;  // those of the next step, before these are mapped
  RowSums<T> sums = {};
};

// The kernels that read elements of one storage type where they lie, and widen them in registers.
// x and y are pointers to that type; strides count elements.
template <class T>
struct DirectKernels {
  // Statistics of `count` <= kRowChunk elements; group i of kGroup elements starts at groups[i],
  // or, where groups is null, at x + i * kGroup. Squares whose mean is under `tiny` are taken in
  // float64.
  using ReduceRow = Moments (*)(const void* x, const void* const* groups, int64_t count,
                                double tiny) noexcept;

  // The same for `rows` rows of `count` <= kRowChunk elements each: a mean, mean_lo and m2 a row.
  using ReduceRows = void (*)(const void* x, int64_t stride, int64_t rows, int64_t count,
                              double tiny, double* mean, double* mean_lo, double* m2) noexcept;

  // Adds the sums of `lines` <= kLineGroup lines (bytes: kByteGroup) to sum[lane] and square[lane];
  // each element less center[lane] (null: zero). What lies `ahead` bytes of x is fetched meanwhile,
  // unless that is 0.
  using AddLines = void (*)(const void* x, int64_t stride, int64_t lines, int64_t lanes,
                            const T* center, double* sum, double* square, int64_t ahead) noexcept;

  // The same, every operation in float64.
  using AddLinesExact = void (*)(const void* x, int64_t stride, int64_t lines, int64_t lanes,
                                 const double* center, double* sum, double* square) noexcept;

  // y = (x - center) * scale + shift, and what the maps say comes then, for `rows` rows of `count`
  // elements, or `lines` of `lanes`.
  using ApplyRows = void (*)(const void* x, int64_t x_stride, void* y, int64_t y_stride,
                             int64_t rows, int64_t count, const RowMaps<T>& maps) noexcept;
  using ApplyLines = void (*)(const void* x, int64_t x_stride, void* y, int64_t y_stride,
                              int64_t lines, int64_t lanes, const LaneMaps<T>& maps) noexcept;

  // Reduces, divides and maps `rows` rows of `count` <= kRowChunk elements; past the cache where a
  // seam is given. Says how many rows were done: those after them are for float64.
  using NormalizeRows = int64_t (*)(const void* x, int64_t x_stride, void* y, int64_t y_stride,
                                    int64_t rows, int64_t count, const RowNorm<T>& by,
                                    Seam* seam) noexcept;

  // Null where the storage type has none: bytes have only sums, other integers nothing.
  ReduceRow reduce_row[kReductions];
  ReduceRows reduce_rows[kReductions];
  AddLines add_lines[kReductions];
  AddLinesExact add_lines_exact[kReductions];
  ApplyRows apply_rows;
  ApplyLines apply_lines;
  // The same, y written past the cache (see KernelTable::fence), and what lies `ahead` bytes of x
  // fetched into it; 0 for rows that are in a cache already. The seam is that of the rows or lines
  // before these.
  using StreamRows = void (*)(const void* x, int64_t x_stride, void* y, int64_t y_stride,
                              int64_t rows, int64_t count, const RowMaps<T>& maps, int64_t ahead,
                              Seam& seam) noexcept;
  using StreamLines = void (*)(const void* x, int64_t x_stride, void* y, int64_t y_stride,
                               int64_t lines, int64_t lanes, const LaneMaps<T>& maps, int64_t ahead,
                               Seam& seam) noexcept;
  StreamRows stream_rows;
  StreamLines stream_lines;
  NormalizeRows normalize_rows[kReductions];  // of what float32 computes
};

// Every kernel of one computing type. The list below is the only one: tables, agreement tests and
// microbenchmarks are made from it.
template <class T>
struct Kernels {
  // Statistics of elements that count by a weight each, none of them negative; weight 0 is not
  // there at all. All in float64.
  using ReduceWeighted = Moments (*)(const T* x, const double* weight, int64_t count) noexcept;

  // The same of rows whose elements count once, or, where their byte of `selected` is 0, not: a
  // count, mean, mean_lo and m2 a row.
  using ReduceSelected = void (*)(const T* x, int64_t stride, const uint8_t* selected,
                                  int64_t selected_stride, int64_t rows, int64_t count,
                                  double* number, double* mean, double* mean_lo,
                                  double* m2) noexcept;

  // As AddLinesExact with a weight an element, at the same stride as x, and their sums.
  using AddLinesWeighted = void (*)(const T* x, const double* weight, int64_t stride, int64_t lines,
                                    int64_t lanes, const double* center, double* count, double* sum,
                                    double* square) noexcept;

  // What each of n elements counts by: 0 where its byte of `selected` is, else what stands in
  // weight already, or, where nothing is given there, 1.
  using SelectWeights = void (*)(const uint8_t* selected, int64_t n, bool given,
                                 double* weight) noexcept;

  // Elements of a storage type to the computing type, and back, rounded once to nearest even.
  using Widen = void (*)(const void* x, T* y, int64_t count) noexcept;
  using Narrow = void (*)(const T* x, void* y, int64_t count) noexcept;

  // Bytes by one map, rounded on the way to y, which is aligned; past the cache (see
  // KernelTable::fence) where told so.
  using MapBytes = void (*)(const uint8_t* x, void* y, int64_t count, const Normalizer<T>& map,
                            bool stream) noexcept;

  // y = activation(x + addend), the addend null or given; y may be either.
  using Activate = void (*)(const T* x, const T* addend, T* y, int64_t count) noexcept;

  // Out of a tile, past the cache (see KernelTable::fence), while what lies at `next` is fetched
  // into it.
  using StreamActivate = void (*)(const T* x, T* y, int64_t count, const void* next) noexcept;
  using StreamNarrow = void (*)(const T* x, void* y, int64_t count, const void* next) noexcept;

  // After the first kLineGroup lines: the mean of a lane that is far from zero, else 0. Says
  // whether all are 0.
  using ChooseCenters = bool (*)(const double* sum, const double* square, int64_t n,
                                 T* center) noexcept;

  // From the sums of lanes of `count` elements each, less their centers, to their Moments. Says
  // whether all may be trusted: nothing cancelled, and no lane's squares sum to less than `least`.
  using Settle = bool (*)(const double* center, const double* sum, const double* square, int64_t n,
                          double count, double least, double* mean, double* mean_lo,
                          double* m2) noexcept;

  // n statistics of `members` lanes each, neighbours or every n-th, all of `count` elements: Chan's
  // merge without its divisions.
  using JoinLanes = void (*)(const double* mean, const double* mean_lo, const double* m2, int64_t n,
                             int64_t members, bool neighbours, double count, double* to_mean,
                             double* to_mean_lo, double* to_m2) noexcept;

  // divisor[i] from m2[i], and 1 / divisor[i], or 1 where that is 0.
  using Divide = void (*)(const double* m2, int64_t n, Divider by, double* divisor,
                          double* reciprocal) noexcept;

  // y = (x - mean) * rstd * weight + bias as Normalizers, the mean a sum of two doubles; mean_lo,
  // weight and bias may be null. Says whether all of them fit T's range; those that do not are for
  // float64.
  using MakeMaps = bool (*)(const double* mean, const double* mean_lo, const double* rstd,
                            const T* weight, const T* bias, int64_t n, T* center, T* scale,
                            T* shift) noexcept;

  DirectKernels<T> direct[kDTypes];
  ReduceWeighted reduce_weighted[kReductions];
  ReduceSelected reduce_selected[kReductions];
  AddLinesWeighted add_lines_weighted[kReductions];
  SelectWeights select_weights;
  Widen widen[kDTypes];
  Narrow narrow[kDTypes];
  StreamNarrow stream_narrow[kDTypes];  // null where there is none,
  MapBytes map_bytes[kDTypes];          // of these as well; by the type of y
  Activate activate[kActivations];
  StreamActivate stream_activate[kActivations];
  ChooseCenters choose_centers;
  Settle settle;
  JoinLanes join_lanes;
  Divide divide;
  MakeMaps make_maps;

  const DirectKernels<T>& of(DType type) const { return direct[static_cast<int>(type)]; }
};

struct KernelTable {
  // `count` <= kGroup pixels of 2 to 4 interleaved channels to planes kGroup elements apart, and
  // back; by the bytes of an element: 1, 2, 4, 8.
  using SplitPixels = void (*)(const void* x, int64_t count, int channels, void* planes) noexcept;
  using JoinPixels = void (*)(const void* planes, int64_t count, int channels, void* y) noexcept;

  using Copy = void (*)(const float* x, float* y, int64_t count) noexcept;
  using Fence = void (*)() noexcept;

  const char* isa;
  Kernels<float> f32;
  Kernels<double> f64;
  SplitPixels split[4];
  JoinPixels join[4];
  // For measurements: a copy by vectors, and one past the cache.
  Copy copy, stream_copy;
  // After streaming, before another thread reads.
  Fence fence;
};

// Those that write bfloat16, for processors that only round it differently.
struct BFloat16Kernels {
  DirectKernels<float> direct;
  Kernels<float>::Narrow narrow;
  Kernels<float>::StreamNarrow stream_narrow;
  Kernels<float>::MapBytes map_bytes;
  Kernels<double>::Narrow narrow_double;
};

template <class T>
inline constexpr DType kTypeOf = DType::kFloat32;
template <>
inline constexpr DType kTypeOf<double> = DType::kFloat64;

}  // namespace normfast
