#include <cmath>

#include "api/problem.hpp"
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

}  // namespace

void normalize_image(const View& image, const NormalizeImage& options) {
  const int axis_in = options.channel_axis, axis_out = options.out_channel_axis;
  const View x = moved(image, axis_in, axis_out);
  Problem problem("normalize_image", x, ~axis(axis_out), options, Accept::kIntegersToo, "image");
  const int64_t channels = x.shape[axis_out];
  problem.check_floating("mean", options.mean);
  problem.check_floating("std", options.deviation);
  problem.check_read("mean", options.mean);
  problem.check_read("std", options.deviation);
  std::vector<double> mean = each(problem, "mean", options.mean, channels);
  std::vector<double> rstd = each(problem, "std", options.deviation, channels);
  if (options.swap_rb && channels != 3 && channels != 4) {
    problem.fail("image has " + std::to_string(channels) +
                 " channels, expected 3 or 4 where swap_rb is True");
  }
  const bool integers = !is_floating(x.dtype);
  // (x * scale - mean) / std = (x - mean / scale) * (scale / std). A scale of 1 / n as well as of
  // n: dividing by what is written 1 / 255 would be one rounding more.
  const bool inverse = options.scale == 0 && integers;
  const double scale = options.scale == 0 ? 1 : options.scale;
  std::vector<int> from(mean.size());
  for (std::size_t c = 0; c < mean.size(); ++c) {
    if (!(rstd[c] > 0)) problem.fail("std is " + number_text(rstd[c]) + ", expected more than 0");
    mean[c] = inverse ? mean[c] * 255 : mean[c] / scale;
    rstd[c] = inverse ? 1 / (255 * rstd[c]) : scale / rstd[c];
    from[c] = static_cast<int>(c);
  }
  if (options.swap_rb) std::swap(from[0], from[2]);
  if (problem.empty()) return;

  Pixels p;
  p.channels = static_cast<int>(channels);
  p.x = {static_cast<char*>(x.data), x.dtype};
  p.y = {static_cast<char*>(options.out.data), options.out.dtype};
  p.x_step = x.strides[axis_out];
  p.y_step = options.out.strides[axis_out];
  p.from = from.data();
  p.mean = mean.data();
  p.rstd = rstd.data();
  for (int i = 0; i < x.ndim; ++i) {
    if (i == axis_out || x.shape[i] == 1) continue;
    Dim dim = {x.shape[i], Offsets::zero()};
    dim.step.at[kX] = x.strides[i];
    dim.step.at[kY] = options.out.strides[i];
    p.nest.push(dim);
  }
  p.threads = problem.threads();
  p.stream = problem.streams();
  const KernelTable& table = kernels();
  if (problem.computing() == DType::kFloat32) {
    run<float>(p, table, table.f32);
  } else {
    run<double>(p, table, table.f64);
  }
}

}  // namespace normfast
