// Threads: the only room that knows of OpenMP.
#pragma once

#include <cstdint>
#include <string>

namespace normfast {

// Threads a call may use where it does not say: OMP_NUM_THREADS, else affinity and cgroup quota.
struct ThreadPolicy {
  int threads;
  std::string why;
};

const ThreadPolicy& default_threads();
bool built_with_openmp();

// Whether other threads are worth asking for work that takes one so long: they are where they wait
// busily, as they do for some time after work, or calls follow one another closely. Else they
// sleep, and waking them took so long the last time, which in a virtual machine may be
// milliseconds.
bool worth_waking(double nanoseconds);
// Work that left them asleep is done: the next is close to it or not.
void left_asleep();

// Calls body(begin, end) for ranges that cover [0, tasks), one a thread. Which thread takes which
// range changes no result. Exceptions come out once all threads are done. In a child of fork() it
// runs on one thread: OpenMP's own are gone there.
void parallel_for(int threads, int64_t tasks, void (*body)(const void*, int64_t, int64_t),
                  const void* self);

template <class Body>
void parallel_for(int threads, int64_t tasks, const Body& body) {
  parallel_for(
      threads, tasks,
      [](const void* self, int64_t begin, int64_t end) {
        (*static_cast<const Body*>(self))(begin, end);
      },
      static_cast<const void*>(&body));
}

}  // namespace normfast
