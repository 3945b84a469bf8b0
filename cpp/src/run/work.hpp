// One call, planned and validated: what every form works from.
#pragma once

#include "kernels/kernels.hpp"
#include "plan/plan.hpp"
#include "run/rule.hpp"

namespace normfast {

// An array as it lies in memory, whatever its element type. Null: not given.
struct Array {
  char* data = nullptr;
  DType type = DType::kFloat32;

  explicit operator bool() const { return data != nullptr; }
  int64_t unit() const { return size_of(type); }
};

// x and the arrays beside it. Only y and sum are written; y null: statistics only. Weight and bias
// are of the computing type, sample_weight is float64, all of them aligned. Where the statistics
// are given, nothing is reduced or reported and the rule is not asked.
struct Work {
  explicit Work(const Plan& p) noexcept : plan(p) {}

  const Plan& plan;
  Rule rule;
  Array x, y;
  Array addend;  // added to x before its statistics (residual), or to y at the end
  bool addend_is_residual = false;
  Array sum;  // receives x + residual
  Activation activation = Activation::kNone;
  const char* where = nullptr;  // bool
  const char* sample_weight = nullptr;
  const char* weight = nullptr;
  const char* bias = nullptr;
  const double* given_mean = nullptr;
  const double* given_rstd = nullptr;
  double* mean = nullptr;
  double* scale = nullptr;
  double* m2 = nullptr;     // sums of squared deviations
  double* count = nullptr;  // elements, or the sum of their weights
  int threads = 1;
  bool threads_given =
      false;            // the caller's number, which holds; else sleeping threads may be left
  bool far = false;     // more than the second cache holds
  bool stream = false;  // write y past the cache

  bool weighted() const { return where || sample_weight; }
  // A mask that says the same of all elements of the nest: they count all or not at all.
  bool masks_whole(const Nest& nest) const { return where && !sample_weight && nest.still(kWhere); }
  bool residual() const { return addend && addend_is_residual; }
  bool adds() const { return addend && !addend_is_residual; }
  // Bytes have exact sums, as long as each counts once.
  Reduction reduction() const {
    const Reduction r = rule.reduction();
    const bool bytes = x.type == DType::kUInt8 || x.type == DType::kInt8;
    return bytes && r == Reduction::kMoments && !weighted() ? Reduction::kSums : r;
  }
  // Statistics have one count by construction, and are no exact sums.
  bool alike() const { return !weighted() && reduction() != Reduction::kSums; }
};

// Runs all of it. Either every element of y and of the statistics is written, or bad_alloc is
// thrown before the first.
template <class T>
void run(const Work& work, const Kernels<T>& kernels, KernelTable::Fence fence);

// The same in blocks, which may run in any order and on any threads: each is some whole statistics
// or, where those are given, some of the elements. No memory is allocated.
template <class T>
int64_t blocks(const Work& work, const Kernels<T>& kernels);
template <class T>
void run_blocks(const Work& work, const Kernels<T>& kernels, KernelTable::Fence fence,
                int64_t first, int64_t last);

extern template void run<float>(const Work&, const Kernels<float>&, KernelTable::Fence);
extern template void run<double>(const Work&, const Kernels<double>&, KernelTable::Fence);
extern template int64_t blocks<float>(const Work&, const Kernels<float>&);
extern template int64_t blocks<double>(const Work&, const Kernels<double>&);
extern template void run_blocks<float>(const Work&, const Kernels<float>&, KernelTable::Fence,
                                       int64_t, int64_t);
extern template void run_blocks<double>(const Work&, const Kernels<double>&, KernelTable::Fence,
                                        int64_t, int64_t);

}  // namespace normfast
