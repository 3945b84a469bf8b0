#pragma once

#include "normfast/normfast.hpp"

namespace normfast {

// Whether two arrays share a byte. Exact: interleaved views that do not touch do not overlap. (A
// contrived pair of many dimensions that is too costly to decide counts as overlapping.)
bool overlap(const View& a, const View& b);

// Whether two elements of one array may share a byte.
bool overlaps_itself(const View& a);

}  // namespace normfast
