// Fills the table of one ISA. The including file has chosen the vector.
#include "kernels/kernels.hpp"
// The order matters: each uses the lanes of reduce.inl, and apply.inl and activate.inl the runs.
#include "kernels/reduce.inl"
#include "kernels/runs.inl"
#include "kernels/apply.inl"
#include "kernels/activate.inl"
#include "kernels/convert.inl"
#include "kernels/maps.inl"
#include "kernels/normalize.inl"
#include "kernels/pixels.inl"

namespace normfast {
namespace {

template <class X>
constexpr DirectKernels<Computing<X>> direct_of() {
  using enum Reduction;
  return {{reduce_row<kMoments, X>, reduce_row<kSquares, X>, reduce_row<kMagnitudes, X>,
           reduce_row<kMaximum, X>, nullptr},
          {reduce_rows<kMoments, X>, reduce_rows<kSquares, X>, reduce_rows<kMagnitudes, X>,
           reduce_rows<kMaximum, X>, nullptr},
          {add_lines<kMoments, X>, add_lines<kSquares, X>, add_lines<kMagnitudes, X>,
           add_lines<kMaximum, X>, nullptr},
          {add_lines_exact<kMoments, X>, add_lines_exact<kSquares, X>,
           add_lines_exact<kMagnitudes, X>, add_lines_exact<kMaximum, X>, nullptr},
          apply_rows<X>,
          apply_lines<X>,
          stream_rows<X>,
          stream_lines<X>,
          {}};
}

template <class X>
constexpr DirectKernels<float> float_direct_of() {
  using enum Reduction;
  DirectKernels<float> k = direct_of<X>();
  k.normalize_rows[static_cast<int>(kMoments)] = normalize_rows<kMoments, X>;
  k.normalize_rows[static_cast<int>(kSquares)] = normalize_rows<kSquares, X>;
  return k;
}

template <class X>
constexpr DirectKernels<float> sums_of() {
  DirectKernels<float> k = {};
  k.reduce_row[static_cast<int>(Reduction::kSums)] = sum_row<X>;
  k.reduce_rows[static_cast<int>(Reduction::kSums)] = sum_rows<X>;
  k.add_lines[static_cast<int>(Reduction::kSums)] = sum_lines<X>;
  return k;
}

constexpr BFloat16Kernels bfloat16_kernels() {
  return {float_direct_of<BFloat16>(), narrow_half<BFloat16>, stream_half<BFloat16>,
          map_bytes<BFloat16>, narrow_half<BFloat16>};
}

constexpr void set_direct(Kernels<float>& k) {
  k.direct[static_cast<int>(DType::kFloat32)] = float_direct_of<float>();
  k.direct[static_cast<int>(DType::kFloat16)] = float_direct_of<Half>();
  k.direct[static_cast<int>(DType::kBFloat16)] = float_direct_of<BFloat16>();
  k.direct[static_cast<int>(DType::kUInt8)] = sums_of<uint8_t>();
  k.direct[static_cast<int>(DType::kInt8)] = sums_of<int8_t>();
  k.stream_narrow[static_cast<int>(DType::kFloat16)] = stream_half<Half>;
  k.stream_narrow[static_cast<int>(DType::kBFloat16)] = stream_half<BFloat16>;
  k.map_bytes[static_cast<int>(DType::kFloat32)] = map_bytes<float>;
  k.map_bytes[static_cast<int>(DType::kFloat16)] = map_bytes<Half>;
  k.map_bytes[static_cast<int>(DType::kBFloat16)] = map_bytes<BFloat16>;
}
constexpr void set_direct(Kernels<double>& k) {
  k.direct[static_cast<int>(DType::kFloat64)] = direct_of<double>();
}

template <class T>
constexpr Kernels<T> kernels_of() {
  using enum Reduction;
  using enum Activation;
  Kernels<T> k = {
      {},
      {reduce_weighted<kMoments, T>, reduce_weighted<kSquares, T>, reduce_weighted<kMagnitudes, T>,
       reduce_weighted<kMaximum, T>, nullptr},
      {reduce_selected<kMoments, T>, reduce_selected<kSquares, T>, reduce_selected<kMagnitudes, T>,
       reduce_selected<kMaximum, T>, nullptr},
      {add_lines_weighted<kMoments, T>, add_lines_weighted<kSquares, T>,
       add_lines_weighted<kMagnitudes, T>, add_lines_weighted<kMaximum, T>, nullptr},
      select_weights,
      // In the order of DType.
      {widen<float, T>, widen<double, T>, widen_half<Half>, widen_half<BFloat16>, widen<uint8_t, T>,
       widen<int8_t, T>, widen<uint16_t, T>, widen<int16_t, T>, widen<int32_t, T>,
       widen<int64_t, T>, nullptr},
      {narrow<float, T>, narrow<double, T>, narrow_half<Half>, narrow_half<BFloat16>, nullptr,
       nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
      {},
      {},
      {activate_run<kNone, T>, activate_run<kRelu, T>, activate_run<kGelu, T>,
       activate_run<kGeluTanh, T>, activate_run<kSilu, T>},
      {stream_activation<kNone, T>, stream_activation<kRelu, T>, stream_activation<kGelu, T>,
       stream_activation<kGeluTanh, T>, stream_activation<kSilu, T>},
      choose_centers<T>,
      settle,
      join_lanes,
      divide,
      make_maps<T>};
  set_direct(k);
  return k;
}

constexpr KernelTable table_of(const char* isa) {
  return {
      isa,
      kernels_of<float>(),
      kernels_of<double>(),
      {split_pixels<uint8_t>, split_pixels<uint16_t>, split_pixels<uint32_t>,
       split_pixels<uint64_t>},
      {join_pixels<uint8_t>, join_pixels<uint16_t>, join_pixels<uint32_t>, join_pixels<uint64_t>},
      copy_run,
      stream_copy,
      fence_streams};
}

}  // namespace
}  // namespace normfast
