#include "parallel/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

namespace normfast {
namespace {

int cores_by_affinity() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Cores a container may use; 0 where there is no limit.
double cgroup_quota() {
  std::string quota;
  double period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  if (v2 >> quota >> period && quota != "max" && period > 0) return std::stod(quota) / period;
  double us = 0;
  std::ifstream q1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream p1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (q1 >> us && p1 >> period && us > 0 && period > 0) return us / period;
  return 0;
}

ThreadPolicy choose_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int n = std::atoi(text);  // "4,2" (nested levels) counts as 4
    if (n > 0) return {n, "OMP_NUM_THREADS"};
  }
  const int cores = cores_by_affinity();
  const double quota = cgroup_quota();
  if (quota > 0 && quota < cores) {
    return {std::max(1, static_cast<int>(quota + 0.5)), "cgroup quota"};
  }
  return {cores, "processors this process may run on"};
}

// The threads of OpenMP are gone in a child, and another library may have started them.
std::atomic<bool> forked{false};

#if defined(__unix__) || defined(__APPLE__)
const int watch_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

// Threads of OpenMP wait busily for some milliseconds, those of some run-time libraries not at all.
// So many ns after work they surely do or never will; calls no further apart keep them at it.
constexpr int64_t kBusy = 4'000'000;

int64_t nanoseconds_now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// When threads last worked, when work that left them asleep was last done, and how long the last of
// them took to wake. What two calls at once make of it is as good as either.
std::atomic<int64_t> worked{0}, left{0}, waking{0};

}  // namespace

bool worth_waking(double nanoseconds) {
  const int64_t now = nanoseconds_now();
  const bool close = now - left.load(std::memory_order_relaxed) < kBusy;
  const bool awake = now - worked.load(std::memory_order_relaxed) < kBusy;
  return close || awake ||
         nanoseconds > static_cast<double>(waking.load(std::memory_order_relaxed));
}

void left_asleep() { left.store(nanoseconds_now(), std::memory_order_relaxed); }

const ThreadPolicy& default_threads() {
  static const ThreadPolicy policy = choose_threads();
  return policy;
}

bool built_with_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

void parallel_for(int threads, int64_t tasks, void (*body)(const void*, int64_t, int64_t),
                  const void* self) {
  threads = static_cast<int>(std::min<int64_t>(threads, tasks));
#ifdef _OPENMP
  if (threads > 1 && !forked && !omp_in_parallel()) {
    std::exception_ptr error;
    std::mutex error_mutex;
    const int64_t start = nanoseconds_now();
    const bool slept = start - worked.load(std::memory_order_relaxed) >= kBusy;
    if (slept) waking.store(0, std::memory_order_relaxed);
#pragma omp parallel num_threads(threads)
    {
      if (slept) {
        const int64_t took = nanoseconds_now() - start;
        int64_t longest = waking.load(std::memory_order_relaxed);
        while (took > longest && !waking.compare_exchange_weak(longest, took)) {
        }
      }
      const int64_t t = omp_get_thread_num(), n = omp_get_num_threads();
      try {
        body(self, tasks * t / n, tasks * (t + 1) / n);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        error = std::current_exception();
      }
    }
    worked.store(nanoseconds_now(), std::memory_order_relaxed);
    if (error) std::rethrow_exception(error);
    return;
  }
#endif
  body(self, 0, tasks);
}

}  // namespace normfast
