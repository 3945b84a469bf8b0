#include "cuda/emulation/simt.hpp"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace normfast::cuda {

Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

bool backwards = false;

void stop(const char* what) {
  std::fprintf(stderr, "emulated kernel: %s (block %u, thread %u)\n", what, blockIdx.x,
               threadIdx.x);
  std::abort();
}

namespace {

constexpr std::size_t kStack = 256 * 1024;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

struct Stack {
  Stack()
      : memory(mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory == MAP_FAILED) stop("no memory for a stack");
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() { munmap(memory, kStack); }
  void* memory;
};

// Once a fibre has its stack, it is switched to without a system call.
struct Fibre {
  Stack stack;
  jmp_buf point;
  bool started = false;
  State state = State::kDone;
  uint64_t given = 0;
};

std::vector<std::unique_ptr<Fibre>> fibres;
Fibre* current;
jmp_buf scheduler;
ucontext_t origin;
const std::function<void()>* work;
int64_t count_of_launches = 0;

#ifdef __SANITIZE_ADDRESS__
const void* home_stack;
std::size_t home_size;
void enter(Fibre& f) { __sanitizer_start_switch_fiber(nullptr, f.stack.memory, kStack); }
void entered() { __sanitizer_finish_switch_fiber(nullptr, &home_stack, &home_size); }
void leave() { __sanitizer_start_switch_fiber(nullptr, home_stack, home_size); }
void left() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }
#else
void enter(Fibre&) {}
void entered() {}
void leave() {}
void left() {}
#endif

void yield() {
  if (_setjmp(current->point) == 0) {
    leave();
    _longjmp(scheduler, 1);
  }
  entered();
}

void live() {
  entered();
  for (;;) {
    (*work)();
    current->state = State::kDone;
    yield();
  }
}

void resume(Fibre& f) {
  current = &f;
  enter(f);
  if (_setjmp(scheduler) == 0) {
    if (f.started) _longjmp(f.point, 1);
    f.started = true;
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack.memory;
    context.uc_stack.ss_size = kStack;
    context.uc_link = nullptr;
    makecontext(&context, live, 0);
    swapcontext(&origin, &context);
  }
  left();
}

void wait(State state) {
  const unsigned me = threadIdx.x;
  current->state = state;
  yield();
  threadIdx.x = me;
}

// Runs threads [begin, end) until each waits for the block or is done.
void run_warp(unsigned begin, unsigned end) {
  for (;;) {
    for (unsigned k = begin; k < end; ++k) {
      const unsigned t = backwards ? end - 1 - (k - begin) : k;
      if (fibres[t]->state != State::kReady) continue;
      threadIdx.x = t;
      resume(*fibres[t]);
    }
    unsigned at_warp = 0;
    for (unsigned t = begin; t < end; ++t) at_warp += fibres[t]->state == State::kAtWarp;
    if (at_warp == 0) return;
    if (at_warp != end - begin) stop("not all threads of a warp take part in an exchange");
    for (unsigned t = begin; t < end; ++t) fibres[t]->state = State::kReady;
  }
}

void run_block(unsigned threads) {
  for (unsigned t = 0; t < threads; ++t) fibres[t]->state = State::kReady;
  for (;;) {
    const unsigned warps = (threads + 31) / 32;
    for (unsigned k = 0; k < warps; ++k) {
      const unsigned w = backwards ? warps - 1 - k : k;
      run_warp(w * 32, threads < w * 32 + 32 ? threads : w * 32 + 32);
    }
    unsigned waiting = 0;
    for (unsigned t = 0; t < threads; ++t) waiting += fibres[t]->state == State::kAtBlock;
    if (waiting == 0) return;
    if (waiting != threads) stop("not all threads of a block reach a barrier");
    for (unsigned t = 0; t < threads; ++t) fibres[t]->state = State::kReady;
  }
}

}  // namespace

int64_t launches() { return count_of_launches; }

void run(int64_t blocks, int threads, const std::function<void()>& body) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  if (threads > 1024 || threads < 1 || blocks < 1) stop("no such launch");
  while (fibres.size() < static_cast<std::size_t>(threads)) {
    fibres.push_back(std::make_unique<Fibre>());
  }
  ++count_of_launches;
  work = &body;
  blockDim.x = static_cast<unsigned>(threads);
  // Kernels walk on by the size of the grid: one that is too small for its work shows that they do.
  gridDim.x = static_cast<unsigned>(blocks < 1000 ? blocks : 1000);
  for (unsigned k = 0; k < gridDim.x; ++k) {
    blockIdx.x = backwards ? gridDim.x - 1 - k : k;
    run_block(blockDim.x);
  }
}

void wait_for_block() { wait(State::kAtBlock); }

bool any_of_block(bool value) {
  current->given = value;
  wait(State::kAtBlock);
  bool any = false;
  for (unsigned t = 0; t < blockDim.x; ++t) any |= fibres[t]->given != 0;
  wait(State::kAtBlock);
  return any;
}

bool any_of_warp(bool value) {
  const unsigned first = threadIdx.x / 32 * 32;
  current->given = value;
  wait(State::kAtWarp);
  bool any = false;
  for (unsigned t = first; t < blockDim.x && t < first + 32; ++t) any |= fibres[t]->given != 0;
  wait(State::kAtWarp);
  return any;
}

uint64_t exchange(uint64_t value, int from) {
  const unsigned first = threadIdx.x / 32 * 32;
  current->given = value;
  wait(State::kAtWarp);
  const uint64_t result = fibres[first + static_cast<unsigned>(from)]->given;
  wait(State::kAtWarp);
  return result;
}

}  // namespace emulation
}  // namespace normfast::cuda
