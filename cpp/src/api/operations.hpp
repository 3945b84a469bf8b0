// What each operation is: its arguments are checked, and the problem gets its rule, its parameters
// and what is beside x. Whoever runs the problem, on the host or on a device, starts with these.
#pragma once

#include "api/problem.hpp"

namespace normfast {

void define(Problem& problem, const MeanVar& options);
void define(Problem& problem, const View& x, Axes reduced, const LayerNorm& options);
void define(Problem& problem, const View& x, Axes reduced, const RmsNorm& options);
void define(Problem& problem, const View& x, Axes channels, const BatchNorm& options);
void define(Problem& problem, const View& x, int channel_axis, const InstanceNorm& options);
void define(Problem& problem, const View& x, int64_t num_groups, int channel_axis,
            const GroupNorm& options);
void define(Problem& problem, const Normalize& options);
void define(Problem& problem, const View& v, const View& g, Axes channels);  // weight norm
void define(Problem& problem, const View& x, Axes reduced, const Standardize& options);

// The batch axis: the first that is not the channels'.
inline int batch_axis_beside(int channel_axis) { return channel_axis == 0 ? 1 : 0; }

// The axes of statistics of each sample and channel, and of an instance norm.
inline Axes per_sample(int channel_axis) {
  return axis(channel_axis) | axis(batch_axis_beside(channel_axis));
}
Axes kept(int channel_axis, const InstanceNorm& options);

}  // namespace normfast
