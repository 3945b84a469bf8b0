#include <memory>

#include "parallel/parallel.hpp"
#include "run/columns.inl"
#include "run/rows.inl"

namespace normfast {
namespace {

// Both forms run alike. Where there are units enough for the threads, each thread takes whole
// units: reduce, merge, apply while the data is still in cache. Otherwise the chunks of all units
// are reduced, then merged, then applied. Merges go by the chunks' order, so both give the same
// bits.
template <class Form>
void execute(const Form& form, const Work& work, KernelTable::Fence fence) {
  // Each thread waits for what it streamed.
  const auto in_parallel = [&](int64_t tasks, const auto& body) {
    if (!work.stream) return parallel_for(work.threads, tasks, body);
    parallel_for(work.threads, tasks, [&](int64_t begin, int64_t end) {
      body(begin, end);
      fence();
    });
  };
  using State = typename Form::State;
  const int64_t units = form.units(), chunks = form.chunks(), size = form.part_size();
  const bool reduces = !work.given_rstd;

  // A strip is a narrow part of each line, which memory is slow to give and slower to take: results
  // beyond the cache are written in memory order, although x is read again for them.
  constexpr int64_t kKept = 256;
  bool banded = false;
  if constexpr (Form::kHasBands) {
    const bool pays = work.stream || (!reduces && work.far);
    banded = pays && work.y && form.strips() > 1 && form.bands() > 1 && units <= kKept;
  }

  if (!banded && (work.threads == 1 || chunks == 1 || units >= 4 * work.threads)) {
    in_parallel(units, [&](int64_t begin, int64_t end) {
      constexpr int64_t kInline = 256;
      double small[kInline];
      std::unique_ptr<double[]> large(2 * size > kInline ? new double[2 * size] : nullptr);
      double* total = large ? large.get() : small;
      double* part = total + size;
      State state;
      form.for_places(begin, end, [&](const auto& place) {
        for (int64_t c = 0; c < chunks && reduces; ++c) {
          form.reduce(place, c, c == 0 ? total : part);
          if (c > 0) form.merge_into(place, total, part);
        }
        form.finish(place, total, state);
        // Backwards: what was read last is still in cache.
        for (int64_t c = chunks; c-- > 0 && work.y;) form.apply(place, c, state);
      });
    });
    return;
  }

  std::vector<double> parts(static_cast<std::size_t>(units * chunks * size));
  std::vector<State> states(static_cast<std::size_t>(units));
  const auto part = [&](int64_t u, int64_t c) { return parts.data() + (u * chunks + c) * size; };
  if (reduces) {
    parallel_for(work.threads, units * chunks, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        form.reduce(form.place(i / chunks), i % chunks, part(i / chunks, i % chunks));
      }
    });
  }
  parallel_for(units >= 4 * work.threads ? work.threads : 1, units,
               [&](int64_t begin, int64_t end) {
                 for (int64_t u = begin; u < end; ++u) {
                   const auto place = form.place(u);
                   for (int64_t c = 1; c < chunks && reduces; ++c) {
                     form.merge_into(place, part(u, 0), part(u, c));
                   }
                   form.finish(place, part(u, 0), states[static_cast<std::size_t>(u)]);
                 }
               });
  if (!work.y) return;
  if constexpr (Form::kHasBands) {
    const int64_t bands = form.bands();
    for (int64_t u = 0; u < units && banded; u += form.strips()) {
      const State* const strips = states.data() + u;
      const auto joined = form.join_maps(strips);
      in_parallel(bands, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) form.apply_band(u, b, strips, joined);
      });
    }
    if (banded) return;
  }
  in_parallel(units * chunks, [&](int64_t begin, int64_t end) {
    for (int64_t i = end; i-- > begin;) {
      form.apply(form.place(i / chunks), i % chunks, states[static_cast<std::size_t>(i / chunks)]);
    }
  });
}

}  // namespace

template <class T>
void run(const Work& work, const Kernels<T>& kernels, KernelTable::Fence fence) {
  if (work.plan.form == Form::kRows) {
    execute(Rows<T>(work, kernels), work, fence);
  } else {
    execute(Columns<T>(work, kernels), work, fence);
  }
}

template void run<float>(const Work&, const Kernels<float>&, KernelTable::Fence);
template void run<double>(const Work&, const Kernels<double>&, KernelTable::Fence);

}  // namespace normfast
