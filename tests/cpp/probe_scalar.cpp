#include "simd/scalar.hpp"

#include "probe.inl"

namespace normfast::test {

extern constinit const Probe kProbeScalar = probe_of("scalar");

}  // namespace normfast::test
