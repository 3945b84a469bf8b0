// Fills the table of one ISA. The including file has chosen the vector.
#include "kernels/kernels.hpp"
// The order matters: apply.inl uses the lanes of reduce.inl.
#include "kernels/reduce.inl"
#include "kernels/apply.inl"
#include "kernels/maps.inl"

namespace normfast {
namespace {

template <class T>
constexpr Kernels<T> kernels_of() {
  using enum Reduction;
  return {{reduce_row<kMoments, T>, reduce_row<kSquares, T>, reduce_row<kMagnitudes, T>,
           reduce_row<kMaximum, T>},
          {add_lines<kMoments, T>, add_lines<kSquares, T>, add_lines<kMagnitudes, T>,
           add_lines<kMaximum, T>},
          {add_lines_exact<kMoments, T>, add_lines_exact<kSquares, T>,
           add_lines_exact<kMagnitudes, T>, add_lines_exact<kMaximum, T>},
          apply_row<T>,
          apply_lines<T>,
          divide,
          make_maps<T>};
}

}  // namespace
}  // namespace normfast
