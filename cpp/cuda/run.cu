#include "cuda/run.hpp"

#include "cuda/kernels/finalize.cuh"

namespace normfast::cuda {
namespace {

// Work space, taken at once: what is asked for lies one behind the other.
class Space {
 public:
  template <class T>
  void add(T*& to, int64_t count) {
    at_[n_] = bytes_;
    to_[n_++] = [&to](char* p) { to = reinterpret_cast<T*>(p); };
    bytes_ += divide_up(count * static_cast<int64_t>(sizeof(T)), 256) * 256;
  }
  void take(const Launch& launch) {
    if (n_ == 0) return;
    char* const memory = static_cast<char*>(launch.allocate(bytes_));
    for (int i = 0; i < n_; ++i) to_[i](memory + at_[i]);
  }

 private:
  int n_ = 0;
  int64_t bytes_ = 0;
  int64_t at_[3];
  std::function<void(char*)> to_[3];
};

// Known statistics in float64 become maps first: they may say more than float32.
bool needs_maps(const Task& task) {
  if (!task.known()) return task.form != Form::kRow;
  return task.mean.array.type == DType::kFloat64 || task.scale.array.type == DType::kFloat64;
}

}  // namespace

void queue_finalize(Task& task, void* stream) { queue(finalize, cut_finalize(task), task, stream); }

void run(Task& task, const Launch& launch) {
  const OnDevice on_device(launch.device);
  const Shape& s = task.shape;
  Running& running = task.running;
  if (s.statistics() == 0) return;
  if (s.lines == 0) {  // an empty x: running statistics stay as they are
    if (task.reports()) queue_finalize(task, launch.stream);
    return;
  }

  Space space;
  if (running.mean.data) space.add(task.out_moments, s.statistics());
  if (task.form != Form::kRow && !task.known()) {
    cut_partial(task);
    space.add(task.partials, s.units * task.chunks * task.partial_width());
  }
  if (task.y.data && needs_maps(task)) space.add(task.maps, s.statistics());
  space.take(launch);

  if (task.x.type == DType::kFloat32) forward<float>(task, launch.stream);
  if (task.x.type == DType::kFloat16) forward<Half>(task, launch.stream);
  if (task.x.type == DType::kBFloat16) forward<BFloat16>(task, launch.stream);

  if (running.mean.data) {
    queue(update, {divide_up(running.channels, kFinalizeBlock), kFinalizeBlock}, task,
          launch.stream);
  }
  if (running.batches) queue(count_batch, {1, 32}, task, launch.stream);
}

}  // namespace normfast::cuda
