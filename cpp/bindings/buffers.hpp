// Memory of large results, kept for the next one: fresh memory costs more than filling it, as the
// operating system clears it page by page.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace normfast::python {

// While it lives, arrays that NumPy makes on this thread take their memory from here, and give it
// back when they go, whatever else is gone by then.
class KeptMemory {
 public:
  explicit KeptMemory(int64_t bytes) {
    if (bytes >= kLarge) begin();
  }
  ~KeptMemory() {
    if (before_) end();
  }
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

 private:
  static constexpr int64_t kLarge = 1024 * 1024;  // smaller results are NumPy's own
  void begin();
  void end();
  PyObject* before_ = nullptr;
};

// Bytes kept at most while no array has them; 0 frees all and keeps none. Returns the last limit.
int64_t keep_buffers(int64_t limit);

}  // namespace normfast::python
