#include "simd/neon.hpp"

#include "probe.inl"

namespace normfast::test {

extern constinit const Probe kProbeNeon = probe_of("neon");

}  // namespace normfast::test
