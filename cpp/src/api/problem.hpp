// What every operation does around its own rule: check the arguments, lay the problem out, run it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "normfast/normfast.hpp"
#include "normfast/prepared.hpp"
#include "run/work.hpp"

namespace normfast {

// How an argument lies along the axes of x: the axis its k-th dimension belongs to.
struct AxisList {
  int n = 0;
  int axis[kMaxDims];
  void push(int a) { axis[n++] = a; }
};

AxisList axes_of(Axes set, int ndim);
Axes all_axes(int ndim);

std::string describe(const View& a);
std::string number_text(double value);

// Float64 values side by side: where they lie, or a copy.
struct Values {
  const double* data;
  int64_t size;
  std::unique_ptr<double[]> copy;
};

// 1 / sqrt(v + plus), or without the root 1 / v; 1 where that divides by 0.
Values reciprocals(const Values& values, double plus, bool root);
std::string shape_text(const int64_t* shape, int n);

// Throws where x has no axis for samples beside the one for channels.
void need_two_axes(const char* operation, const View& x);

enum class Accept { kFloats, kIntegersToo };

// Where arrays are. A device's are checked and laid out, and not read: `run` is for the host's.
enum class Memory { kHost, kDevice };

// A parameter: where it lies, or converted. On the host it is of the computing type.
struct Parameter {
  const char* data = nullptr;
  DType type = DType::kFloat32;
  double offset = 0;  // is still to be added
  int64_t step[kMaxDims];
  std::unique_ptr<double[]> copy;
};

class Problem {
 public:
  Problem(const char* operation, const View& x, Axes reduced, const Common& common,
          Accept accept = Accept::kFloats, const char* x_name = "x", Memory memory = Memory::kHost);

  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  Rule rule;

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_type(const std::string& what) const;

  // Cuts an axis into `groups` kept pieces whose elements are reduced. Before any parameter.
  void split(int axis, int64_t groups);

  void check_floating(const char* name, const View& view) const;
  // Parameters of one dimension an axis of the list, floating point.
  void check_parameter(const char* name, const View& view, const AxisList& axes) const;
  void weight(const char* name, const View& view, const AxisList& axes, double offset = 0);
  void bias(const char* name, const View& view, const AxisList& axes);
  // Parameters of as many dimensions as x, each of its size or 1.
  void broadcast_weight(const char* name, const View& view, double offset = 0);
  void broadcast_bias(const char* name, const View& view);

  // What counts in the statistics.
  void select(const Selection& selection);
  // Added to x before the statistics, the sum written; or to the result after the affine.
  void residual(const View& residual, const View& sum);
  void add(const View& add);
  void activation(Activation activation) { work_.activation = activation; }

  // An array the operation writes beside `out`: checked, and kept apart from all the others.
  void check_updated(const char* name, const View& view);
  // An array it reads.
  void check_read(const char* name, const View& view);

  void check_eps(double eps) const;

  // Statistics that are known instead of computed: a mean, and what is divided by: scale + plus, or
  // its root. Each has a dimension an axis of its list.
  struct Known {
    const View& view;
    const AxisList& axes;
  };
  void give(const Known& mean, const Known& scale, double plus, bool root);

  // The float64 value at each statistic of an array with one dimension an axis of the list.
  Values spread(const View& view, const AxisList& axes) const;

  DType computing() const { return computing_; }
  int threads() const;
  // A result that fills over a quarter of the last cache is written past it, which saves reading
  // its lines first. In place they are there already.
  bool streams(const void* x, const void* out) const;
  bool weighted() const { return work_.weighted(); }
  // How many elements each statistic selects, and the sum of their weights.
  struct Selected {
    std::vector<double> number, weight;
  };
  Selected selected() const;

  int64_t count() const;       // elements a statistic
  int64_t statistics() const;  // number of statistics
  bool empty() const { return size_ == 0; }

  // Keeps each statistic's mean and m2, for running statistics.
  void keep_moments();
  double mean(int64_t i) const { return work_.mean[i]; }
  double m2(int64_t i) const { return work_.m2[i]; }
  // After a run: the elements of a statistic, or their weights' sum.
  double weight_of(int64_t i) const {
    return work_.count ? work_.count[i] : static_cast<double>(plan_.count());
  }

  // Nothing has been written until here.
  void run();

  // The same for many runs: laid out once, then run on other arrays that lie as those of the
  // problem do, whole or in blocks.
  void lay_out();
  int64_t blocks() const;
  void check_arrays(const Arrays& arrays) const;
  void check_blocks(int64_t first, int64_t last, int64_t all) const;
  void run(const Arrays& arrays) const;
  void run(const Arrays& arrays, int64_t first, int64_t last) const;

  // For those who run it elsewhere: x and what is beside it, its axes (that of the groups cut in
  // two) with the steps of every array, and a parameter's steps along them.
  struct Parameters {
    Parameter weight, bias;
    Parameter mean, scale;  // known statistics
    double plus = 0;
    bool root = false;
  };
  const Work& work() const { return work_; }
  const Parameters& parameters() const { return parameters_; }
  void lay_out(Layout& layout) const;
  void lay_out(const Parameter& parameter, int64_t* steps) const;

 private:
  // Elementwise: read or written in step with x, so that one such array may stand for another.
  struct Named {
    const char* name;
    const View* view;
    bool elementwise;
  };
  void read(const Named& argument);
  void write(const Named& argument);
  void check_apart(const Named& written, const Named& read) const;
  void check_like_x(const char* name, const View& view) const;
  void check_output(const char* name, const View& view);
  Array addend(const char* name, const View& view);
  // Steps of a view that broadcasts to x, by the axes of x.
  void broadcast(const char* name, const View& view, int64_t* steps) const;
  // Where a parameter of such steps lies; it is converted where kernels could not read it.
  void place(Parameter& p, const View& view, DType type, double offset);
  void convert(Parameter& p, const View& view, DType type, double offset);
  void place_along(Parameter& p, const char* name, const View& view, const AxisList& axes,
                   double offset);
  void place_broadcast(Parameter& p, const char* name, const View& view, double offset);
  void step_along(Parameter& p, const View& view, const AxisList& axes) const;
  Work with(const Arrays& arrays) const;
  void report_given(const Work& work) const;
  void report_nothing(const Work& work) const;
  template <class Body>
  auto computed(const Body& body) const;

  const char* operation_;
  const char* x_name_;
  const View& x_;
  const Common& common_;
  Axes reduced_;
  const int64_t size_;
  int split_axis_ = -1;
  int64_t groups_ = 1;
  DType computing_;
  const Memory memory_;
  Parameters parameters_;
  Parameter sample_weight_;
  int64_t where_step_[kMaxDims];
  const View* addend_ = nullptr;
  const View* sum_ = nullptr;
  Values given_mean_ = {}, given_rstd_ = {};
  std::vector<double> kept_mean_, kept_m2_, kept_count_;
  static constexpr int kArguments = 12;
  Named read_[kArguments], written_[kArguments];
  int num_read_ = 0, num_written_ = 0;
  normfast::Plan plan_;
  Work work_{plan_};
};

}  // namespace normfast
