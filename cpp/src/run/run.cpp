#include <memory>

#include "parallel/parallel.hpp"
#include "run/columns.inl"
#include "run/rows.inl"

namespace normfast {
namespace {

// Both forms run alike. Where there are units enough for the threads, each thread takes whole
// units: reduce, merge, apply while the data is still in cache. Otherwise the chunks of many units
// are reduced, then merged, then applied: of all units, or of the strips of one set of lines.
// Merges go by the chunks' order, so all give the same bits.
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
    banded = pays && work.y && form.strips() > 1 && form.strips() <= kKept && form.bands() > 1;
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

  const auto in_phases = [&](int64_t first, int64_t last) {
    const int64_t n = last - first;
    std::vector<double> parts(static_cast<std::size_t>(n * chunks * size));
    std::vector<State> states(static_cast<std::size_t>(n));
    const auto part = [&](int64_t u, int64_t c) { return parts.data() + (u * chunks + c) * size; };
    if (reduces) {
      parallel_for(work.threads, n * chunks, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t u = i / chunks, c = i % chunks;
          form.reduce(form.place(first + u), c, part(u, c));
        }
      });
    }
    const auto finish = [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const auto place = form.place(first + u);
        for (int64_t c = 1; c < chunks && reduces; ++c) {
          form.merge_into(place, part(u, 0), part(u, c));
        }
        form.finish(place, part(u, 0), states[static_cast<std::size_t>(u)]);
      }
    };
    if (n >= 4 * work.threads) {
      parallel_for(work.threads, n, finish);
    } else {
      finish(0, n);
    }
    if (!work.y) return;
    if constexpr (Form::kHasBands) {
      if (banded) {
        const auto maps = form.join_maps(states.data());
        return in_parallel(form.bands(), [&](int64_t begin, int64_t end) {
          for (int64_t b = begin; b < end; ++b) form.apply_band(first, b, states.data(), maps);
        });
      }
    }
    in_parallel(n * chunks, [&](int64_t begin, int64_t end) {
      for (int64_t i = end; i-- > begin;) {
        const int64_t u = i / chunks;
        form.apply(form.place(first + u), i % chunks, states[static_cast<std::size_t>(u)]);
      }
    });
  };

  if constexpr (Form::kHasBands) {
    // The strips of one set of lines at a time: the set may still be in a cache when it is applied.
    const int64_t strips = form.strips(), sets = units / strips;
    const auto by_sets = [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) in_phases(s * strips, (s + 1) * strips);
    };
    if (banded && sets >= 4 * work.threads) return in_parallel(sets, by_sets);
    if (banded) return by_sets(0, sets);
  }
  in_phases(0, units);
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
