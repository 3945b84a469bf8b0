#include "buffers.hpp"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace normfast::python {

namespace py = pybind11;

namespace {

constexpr int64_t kUnit = 64 * 1024;  // sizes are rounded up to, so that alike ones fit
constexpr int64_t kHugePage = 2048 * 1024;
constexpr int64_t kHeader = 64;  // before the data, which stays on a cache line

struct Header {
  int64_t capacity;
};

Header* header(void* data) { return reinterpret_cast<Header*>(static_cast<char*>(data) - kHeader); }

struct Kept {
  std::mutex mutex;
  std::vector<void*> free;  // oldest first
  int64_t bytes = 0;
  int64_t limit = 256 * 1024 * 1024;
};

// Never destroyed: arrays may outlive everything.
Kept& kept() {
  static Kept& all = *new Kept;
  return all;
}

void release(void* data) { std::free(header(data)); }

// With the lock held.
void shrink(Kept& all, int64_t limit) {
  std::size_t n = 0;
  for (; n < all.free.size() && all.bytes > limit; ++n) {
    all.bytes -= header(all.free[n])->capacity;
    release(all.free[n]);
  }
  all.free.erase(all.free.begin(), all.free.begin() + static_cast<std::ptrdiff_t>(n));
}

void* take(void*, std::size_t size) {
  const int64_t capacity = (static_cast<int64_t>(size) + kUnit - 1) / kUnit * kUnit;
  Kept& all = kept();
  {
    const std::lock_guard lock(all.mutex);
    for (std::size_t i = all.free.size(); i-- > 0;) {
      void* const data = all.free[i];
      if (header(data)->capacity != capacity) continue;
      all.free.erase(all.free.begin() + static_cast<std::ptrdiff_t>(i));
      all.bytes -= capacity;
      return data;
    }
  }
  const int64_t whole = capacity + kHeader;
  const int64_t alignment = whole >= 2 * kHugePage ? kHugePage : 4096;
  const std::size_t total =
      static_cast<std::size_t>((whole + alignment - 1) / alignment * alignment);
  void* const base = std::aligned_alloc(static_cast<std::size_t>(alignment), total);
  if (!base) return nullptr;
#ifdef __linux__
  if (alignment == kHugePage) madvise(base, total, MADV_HUGEPAGE);
#endif
  static_cast<Header*>(base)->capacity = capacity;
  return static_cast<char*>(base) + kHeader;
}

void give_back(void*, void* data, std::size_t) {
  if (!data) return;
  Kept& all = kept();
  const std::lock_guard lock(all.mutex);
  const int64_t capacity = header(data)->capacity;
  if (capacity > all.limit) return release(data);
  shrink(all, all.limit - capacity);
  all.free.push_back(data);
  all.bytes += capacity;
}

void* take_cleared(void*, std::size_t count, std::size_t size) {
  void* const data = take(nullptr, count * size);
  if (data) std::memset(data, 0, count * size);
  return data;
}

void* resize(void*, void* data, std::size_t size) {
  if (!data) return take(nullptr, size);
  const std::size_t capacity = static_cast<std::size_t>(header(data)->capacity);
  if (size <= capacity) return data;
  void* const larger = take(nullptr, size);
  if (!larger) return nullptr;
  std::memcpy(larger, data, capacity);
  give_back(nullptr, data, capacity);
  return larger;
}

// NumPy's own structures: NEP 49.
struct Allocator {
  void* context;
  void* (*malloc)(void*, std::size_t);
  void* (*calloc)(void*, std::size_t, std::size_t);
  void* (*realloc)(void*, void*, std::size_t);
  void (*free)(void*, void*, std::size_t);
};

struct Handler {
  char name[127];
  std::uint8_t version;
  Allocator allocator;
};

PyObject* handler() {
  static Handler functions = {"normfast", 1, {nullptr, take, take_cleared, resize, give_back}};
  static PyObject* const capsule = PyCapsule_New(&functions, "mem_handler", nullptr);
  return capsule;
}

// A child of fork() finds the lock free.
#if defined(__unix__) || defined(__APPLE__)
const int watch_forks = pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); },
                                       [] { kept().mutex.unlock(); });
#endif

// NumPy's table of functions, of which pybind11 knows only some.
PyObject* set_handler(PyObject* capsule) {
  using SetHandler = PyObject* (*)(PyObject*);
  static const SetHandler set = [] {
    const py::module_ multiarray = py::module_::import("numpy._core._multiarray_umath");
    void** table =
        static_cast<void**>(PyCapsule_GetPointer(multiarray.attr("_ARRAY_API").ptr(), nullptr));
    constexpr int kSetHandler = 304;
    return reinterpret_cast<SetHandler>(table[kSetHandler]);
  }();
  PyObject* const before = set(capsule);
  if (!before) throw py::error_already_set();
  return before;
}

}  // namespace

void KeptMemory::begin() {
  if (kept().limit > 0) before_ = set_handler(handler());
}

void KeptMemory::end() {
  PyObject *type, *value, *trace;  // of an allocation that failed
  PyErr_Fetch(&type, &value, &trace);
  try {
    Py_XDECREF(set_handler(before_));
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("normfast");
  }
  Py_DECREF(before_);
  PyErr_Restore(type, value, trace);
}

int64_t keep_buffers(int64_t limit) {
  Kept& all = kept();
  const std::lock_guard lock(all.mutex);
  const int64_t before = all.limit;
  all.limit = limit;
  shrink(all, limit);
  return before;
}

}  // namespace normfast::python
