#include "parallel/parallel.hpp"
#include "run/columns.inl"
#include "run/rows.inl"

namespace normfast {
namespace {

// Units [begin, end), each from reading to writing.
template <class T, class Form>
void run_units(const Form& form, const Work& work, int64_t begin, int64_t end) {
  const int64_t chunks = form.chunks();
  const bool reduces = !work.given_rstd;
  double total[Form::kMostPart], part[Form::kMostPart];
  typename Form::State state;
  T room[Form::kRoom + 1];
  form.hold(state, room);
  Seam seam;
  const auto unit = [&](const auto& place) {
    for (int64_t c = 0; c < chunks && reduces; ++c) {
      form.reduce(place, c, c == 0 ? total : part);
      if (c > 0) form.merge_into(place, total, part);
    }
    form.finish(place, total, state);
    if constexpr (!Form::kHasBands) {
      if (chunks > 1 && work.y && form.apply_planes(place, state, seam)) return;
    }
    // Backwards: what was read last is still in cache.
    for (int64_t c = chunks; c-- > 0 && work.y;) form.apply(place, c, state, seam);
  };
  if constexpr (Form::kHasBands) {
    form.for_places(begin, end, unit);
  } else {
    form.normalize(begin, end, seam, unit);
  }
  seam.leave();
}

// Where nothing is reduced, chunks stand for themselves: [begin, end) of all units' in turn. (A
// unit of several chunks is one place.)
template <class T, class Form>
void run_chunks(const Form& form, const Work& work, int64_t begin, int64_t end) {
  const int64_t chunks = form.chunks();
  if (chunks == 1) return run_units<T>(form, work, begin, end);
  typename Form::State state;
  T room[Form::kRoom + 1];
  form.hold(state, room);
  Seam seam;
  for (int64_t i = begin; i < end;) {
    const int64_t unit = i / chunks, last = std::min(end, (unit + 1) * chunks);
    const auto place = form.place(unit);
    form.finish(place, nullptr, state);
    for (; i < last; ++i) form.apply(place, i % chunks, state, seam);
  }
  seam.leave();
}

// Calls body with the form of the work.
template <class T, class Body>
auto with_form(const Work& work, const Kernels<T>& kernels, const Body& body) {
  if (work.plan.form == Form::kRows) return body(Rows<T>(work, kernels));
  return body(Columns<T>(work, kernels));
}

// Both forms run alike. Where there are units enough for the threads, each thread takes whole
// units: reduce, merge, apply while the data is still in cache. Otherwise the chunks of many units
// are reduced, then merged, then applied: of all units, or of the strips of one set of lines.
// Merges go by the chunks' order, so all give the same bits.
template <class T, class Form>
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
  // beyond the cache are written in memory order, although x is read again for them, unless strips
  // are cut where cache lines end and are still in the second cache.
  constexpr int64_t kKept = 256;
  bool banded = false;
  if constexpr (Form::kHasBands) {
    const bool pays = reduces ? work.stream && !form.stays() : work.far;
    banded = pays && work.y && form.strips() > 1 && form.strips() <= kKept && form.bands() > 1;
  }

  if (!banded && !reduces) {
    return in_parallel(units * chunks,
                       [&](int64_t begin, int64_t end) { run_chunks<T>(form, work, begin, end); });
  }
  if (!banded && (work.threads == 1 || chunks == 1 || units >= 4 * work.threads)) {
    return in_parallel(units,
                       [&](int64_t begin, int64_t end) { run_units<T>(form, work, begin, end); });
  }

  // What units keep from phase to phase.
  struct Kept {
    std::unique_ptr<double[]> parts;
    std::unique_ptr<State[]> states;
    std::unique_ptr<T[]> maps;
  };
  const auto room_for = [&](int64_t n) {
    const auto number = [](int64_t elements) { return static_cast<std::size_t>(elements); };
    Kept kept;
    kept.parts.reset(new double[number(n * chunks * size)]);
    kept.states.reset(new State[number(n)]);
    if constexpr (Form::kHasBands) {
      if (banded) {
        kept.maps.reset(new T[number(form.joined_room())]);
        form.hold_joined(kept.states.get(), kept.maps.get());
        return kept;
      }
    }
    kept.maps.reset(new T[number(n * Form::kRoom)]);
    for (int64_t u = 0; u < n; ++u)
      form.hold(kept.states[number(u)], kept.maps.get() + u * Form::kRoom);
    return kept;
  };

  const auto in_phases = [&](int64_t first, int64_t last, Kept& kept) {
    const int64_t n = last - first;
    State* const states = kept.states.get();
    const auto part = [&](int64_t u, int64_t c) {
      return kept.parts.get() + (u * chunks + c) * size;
    };
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
        form.finish(place, part(u, 0), states[u]);
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
        const bool joined = form.joins(states);
        return in_parallel(form.bands(), [&](int64_t begin, int64_t end) {
          Seam seam;
          for (int64_t b = begin; b < end; ++b) form.apply_band(first, b, states, joined, seam);
          seam.leave();
        });
      }
    }
    in_parallel(n * chunks, [&](int64_t begin, int64_t end) {
      Seam seam;
      for (int64_t i = end; i-- > begin;) {
        const int64_t u = i / chunks;
        form.apply(form.place(first + u), i % chunks, states[u], seam);
      }
      seam.leave();
    });
  };

  if constexpr (Form::kHasBands) {
    if (banded) {
      // The strips of one set of lines at a time: it may still be in a cache when it is applied.
      const int64_t strips = form.strips(), sets = units / strips;
      const int64_t takers = sets >= 4 * work.threads ? work.threads : 1;
      std::vector<Kept> kept;
      for (int64_t t = 0; t < takers; ++t) kept.push_back(room_for(strips));
      const auto take = [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          for (int64_t s = sets * t / takers; s < sets * (t + 1) / takers; ++s) {
            in_phases(s * strips, (s + 1) * strips, kept[static_cast<std::size_t>(t)]);
          }
        }
      };
      return takers > 1 ? in_parallel(takers, take) : take(0, 1);
    }
  }
  Kept kept = room_for(units);
  in_phases(0, units, kept);
}

// About how long one thread takes: a guess that is as good as what it is compared with.
double nanoseconds_of(const Plan& plan) {
  constexpr double kElementsPerNanosecond = 4;
  const int64_t kept = plan.units.size();
  const int64_t each =
      plan.form == Form::kRows ? plan.apply.size() : plan.lines.size() * plan.lanes.size();
  return static_cast<double>(kept * each) / kElementsPerNanosecond;
}

}  // namespace

template <class T>
void run(const Work& work, const Kernels<T>& kernels, KernelTable::Fence fence) {
  if (work.threads > 1 && !work.threads_given && !worth_waking(nanoseconds_of(work.plan))) {
    Work alone = work;
    alone.threads = 1;
    run(alone, kernels, fence);
    return left_asleep();
  }
  with_form<T>(work, kernels, [&](const auto& form) { execute<T>(form, work, fence); });
}

template <class T>
int64_t blocks(const Work& work, const Kernels<T>& kernels) {
  return with_form<T>(work, kernels, [&](const auto& form) {
    return work.given_rstd ? form.units() * form.chunks() : form.units();
  });
}

template <class T>
void run_blocks(const Work& work, const Kernels<T>& kernels, KernelTable::Fence fence,
                int64_t first, int64_t last) {
  with_form<T>(work, kernels, [&](const auto& form) {
    if (work.given_rstd) {
      run_chunks<T>(form, work, first, last);
    } else {
      run_units<T>(form, work, first, last);
    }
  });
  if (work.stream) fence();
}

template void run<float>(const Work&, const Kernels<float>&, KernelTable::Fence);
template void run<double>(const Work&, const Kernels<double>&, KernelTable::Fence);
template int64_t blocks<float>(const Work&, const Kernels<float>&);
template int64_t blocks<double>(const Work&, const Kernels<double>&);
template void run_blocks<float>(const Work&, const Kernels<float>&, KernelTable::Fence, int64_t,
                                int64_t);
template void run_blocks<double>(const Work&, const Kernels<double>&, KernelTable::Fence, int64_t,
                                 int64_t);

}  // namespace normfast
