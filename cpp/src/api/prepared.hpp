// What a Prepared holds: the operation's own copy of the view and the options, laid out.
#pragma once

#include <type_traits>

#include "api/problem.hpp"

namespace normfast {

class Prepared::Call {
 public:
  virtual ~Call() = default;
  virtual int64_t blocks() const = 0;
  virtual void run(const Arrays& arrays) const = 0;
  virtual void run(const Arrays& arrays, int64_t first, int64_t last) const = 0;
};

// What a run writes is checked against what else it is given only then.
void set_apart(View& written);
inline void set_apart(Common& options) { set_apart(options.out); }
inline void set_apart(LayerNorm& options) { set_apart(options.out), set_apart(options.sum); }
inline void set_apart(RmsNorm& options) { set_apart(options.out), set_apart(options.sum); }

template <class Options>
class ProblemCall : public Prepared::Call {
 public:
  // define(problem, x, options) says what the operation is.
  template <class Define>
  ProblemCall(const char* operation, const View& x, Axes reduced, const Options& options,
              Accept accept, const char* x_name, const Define& define)
      : x_(x), options_(options), problem_(operation, x_, reduced, mine(), accept, x_name) {
    constexpr bool kHasOut = !std::is_same_v<Options, MeanVar>;
    if (kHasOut && !options_.out.given()) problem_.fail("out is missing");
    define(problem_, x_, options_);
    if (!problem_.empty()) problem_.lay_out();
  }

  int64_t blocks() const override { return problem_.blocks(); }
  void run(const Arrays& arrays) const override { problem_.run(arrays); }
  void run(const Arrays& arrays, int64_t first, int64_t last) const override {
    problem_.run(arrays, first, last);
  }

 private:
  const Options& mine() {
    set_apart(options_);
    options_.statistics = {};
    return options_;
  }

  View x_;
  Options options_;
  Problem problem_;
};

template <class Options, class Define>
Prepared prepared(const char* operation, const View& x, Axes reduced, const Options& options,
                  const Define& define, Accept accept = Accept::kFloats, const char* x_name = "x") {
  return Prepared(std::make_shared<ProblemCall<Options>>(operation, x, reduced, options, accept,
                                                         x_name, define));
}

}  // namespace normfast
