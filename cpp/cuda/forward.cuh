// Which kernels carry a task, for one element type of x.
#pragma once

#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/partial.cuh"
#include "cuda/kernels/row_forward.cuh"
#include "cuda/run.hpp"

namespace normfast::cuda {

void queue_finalize(Task& task, void* stream);

template <class T, int kWidth, int kVectors>
void forward_row(Task& task, const RowCut& cut, void* stream) {
  queue(row_forward<T, kWidth, kVectors>, cut_rows(task, cut), task, stream);
}

template <class T, int kWidth>
void forward_rows(Task& task, void* stream) {
  const RowCut cut = cut_row(task.shape.run, kWidth);
  if constexpr (kWidth == 1) {
    if (cut.vectors == 4) return forward_row<T, kWidth, 4>(task, cut, stream);
  } else {
    if (cut.vectors == 1) return forward_row<T, kWidth, 1>(task, cut, stream);
  }
  if constexpr (kWidth == 4) {
    if (cut.vectors == 2) return forward_row<T, kWidth, 2>(task, cut, stream);
  }
  forward_row<T, kWidth, kValues / kWidth>(task, cut, stream);
}

template <class T, int kWidth>
void forward_parts(Task& task, void* stream) {
  if (!task.known()) queue(partial<T, kWidth>, cut_partial(task), task, stream);
  if (task.maps || task.reports()) queue_finalize(task, stream);
  if (task.y.data) queue(apply<T, kWidth>, cut_apply(task), task, stream);
}

template <class T>
void forward(Task& task, void* stream) {
  if (task.width == 1) {
    return task.form == Form::kRow ? forward_rows<T, 1>(task, stream)
                                   : forward_parts<T, 1>(task, stream);
  }
  return task.form == Form::kRow ? forward_rows<T, kVector<T>>(task, stream)
                                 : forward_parts<T, kVector<T>>(task, stream);
}

}  // namespace normfast::cuda
