#include <algorithm>
#include <cmath>

#include "api/prepared.hpp"
#include "dispatch/dispatch.hpp"
#include "run/pixels.hpp"

namespace normfast {
namespace {

// The image with its channels where the result has them.
View moved(const View& image, int from, int to) {
  View v = image;
  int n = 0;
  for (int i = 0; i < image.ndim; ++i) {
    if (i == from) continue;
    if (n == to) ++n;
    v.shape[n] = image.shape[i];
    v.strides[n++] = image.strides[i];
  }
  v.shape[to] = image.shape[from];
  v.strides[to] = image.strides[from];
  return v;
}

// One value for all channels, or one for each.
std::vector<double> each(const Problem& problem, const char* name, const View& view,
                         int64_t channels) {
  const int64_t size = view.size();
  if (view.ndim > 1 || (size != 1 && size != channels)) {
    problem.fail(std::string(name) + " has shape " + shape_text(view.shape, view.ndim) +
                 ", expected one number, or " + std::to_string(channels) + ", one a channel");
  }
  std::vector<double> values(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < values.size(); ++c) {
    const int64_t step = size == 1 ? 0 : view.strides[0];
    const char* p = static_cast<const char*>(view.data) + static_cast<int64_t>(c) * step;
    kernels().f64.widen[static_cast<int>(view.dtype)](p, &values[c], 1);
    if (!std::isfinite(values[c])) problem.fail(std::string(name) + " is not finite");
  }
  return values;
}

constexpr int64_t kPixelsOfBlock = 16 * 1024;

// One image, or one like it: all but where it lies.
class Image {
 public:
  Image(const View& image, const NormalizeImage& options)
      : axis_(options.out_channel_axis),
        x_(moved(image, options.channel_axis, axis_)),
        options_(options),
        problem_("normalize_image", x_, ~axis(axis_), options_, Accept::kIntegersToo, "image") {
    const int64_t channels = x_.shape[axis_];
    problem_.check_floating("mean", options_.mean);
    problem_.check_floating("std", options_.deviation);
    problem_.check_read("mean", options_.mean);
    problem_.check_read("std", options_.deviation);
    mean_ = each(problem_, "mean", options_.mean, channels);
    rstd_ = each(problem_, "std", options_.deviation, channels);
    if (options_.swap_rb && channels != 3 && channels != 4) {
      problem_.fail("image has " + std::to_string(channels) +
                    " channels, expected 3 or 4 where swap_rb is True");
    }
    const bool integers = !is_floating(x_.dtype);
    // (x * scale - mean) / std = (x - mean / scale) * (scale / std). A scale of 1 / n as well as of
    // n: dividing by what is written 1 / 255 would be one rounding more.
    const bool inverse = options_.scale == 0 && integers;
    const double scale = options_.scale == 0 ? 1 : options_.scale;
    from_.resize(mean_.size());
    for (std::size_t c = 0; c < mean_.size(); ++c) {
      if (!(rstd_[c] > 0)) {
        problem_.fail("std is " + number_text(rstd_[c]) + ", expected more than 0");
      }
      mean_[c] = inverse ? mean_[c] * 255 : mean_[c] / scale;
      rstd_[c] = inverse ? 1 / (255 * rstd_[c]) : scale / rstd_[c];
      from_[c] = static_cast<int>(c);
    }
    if (options_.swap_rb) std::swap(from_[0], from_[2]);
    if (!problem_.empty()) lay_out();
  }

  const Problem& problem() const { return problem_; }
  int64_t size() const { return problem_.empty() ? 0 : pixels_.nest.size(); }

  // Pixels [begin, end) of others that lie alike.
  void run(const void* x, void* out, int threads, int64_t begin, int64_t end) const {
    if (begin >= end) return;
    Pixels p = pixels_;
    p.x.data = static_cast<char*>(const_cast<void*>(x));
    p.y.data = static_cast<char*>(out);
    p.threads = threads;
    p.stream = problem_.streams(x, out);
    const KernelTable& table = kernels();
    if (problem_.computing() == DType::kFloat32) {
      normfast::run<float>(p, single_, table, table.f32, begin, end);
    } else {
      normfast::run<double>(p, double_, table, table.f64, begin, end);
    }
  }

 private:
  void lay_out() {
    const View& out = options_.out;
    Pixels& p = pixels_;
    p.channels = static_cast<int>(x_.shape[axis_]);
    p.x.type = x_.dtype;
    p.y.type = out.dtype;
    p.x_step = x_.strides[axis_];
    p.y_step = out.strides[axis_];
    p.from = from_.data();
    p.mean = mean_.data();
    p.rstd = rstd_.data();
    for (int i = 0; i < x_.ndim; ++i) {
      if (i == axis_ || x_.shape[i] == 1) continue;
      Dim dim = {x_.shape[i], Offsets::zero()};
      dim.step.at[kX] = x_.strides[i];
      dim.step.at[kY] = out.strides[i];
      p.nest.push(dim);
    }
    if (problem_.computing() == DType::kFloat32) {
      single_ = ChannelMaps<float>(p, kernels().f32);
    } else {
      double_ = ChannelMaps<double>(p, kernels().f64);
    }
  }

  const int axis_;  // of the channels, in out
  const View x_;
  const NormalizeImage options_;
  Problem problem_;
  std::vector<double> mean_, rstd_;
  std::vector<int> from_;
  Pixels pixels_;
  ChannelMaps<float> single_;
  ChannelMaps<double> double_;
};

class ImageCall final : public Prepared::Call {
 public:
  ImageCall(const View& image, const NormalizeImage& options) : image_(image, options) {}

  int64_t blocks() const override { return (image_.size() + kPixelsOfBlock - 1) / kPixelsOfBlock; }
  void run(const Arrays& arrays) const override {
    image_.problem().check_arrays(arrays);
    image_.run(arrays.x, arrays.out, image_.problem().threads(), 0, image_.size());
  }
  void run(const Arrays& arrays, int64_t first, int64_t last) const override {
    image_.problem().check_blocks(first, last, blocks());
    image_.problem().check_arrays(arrays);
    image_.run(arrays.x, arrays.out, 1, first * kPixelsOfBlock,
               std::min(last * kPixelsOfBlock, image_.size()));
  }

 private:
  const Image image_;
};

}  // namespace

void normalize_image(const View& image, const NormalizeImage& options) {
  const Image prepared(image, options);
  prepared.run(image.data, options.out.data, prepared.problem().threads(), 0, prepared.size());
}

Prepared prepare(const View& image, const NormalizeImage& options) {
  NormalizeImage mine = options;
  if (!mine.out.given()) throw ValueError("normalize_image: out is missing");
  set_apart(mine);
  return Prepared(std::make_shared<ImageCall>(image, mine));
}

}  // namespace normfast
