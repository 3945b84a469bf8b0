#include "simd/avx2.hpp"

#include "probe.inl"

namespace normfast::test {

extern constinit const Probe kProbeAvx2 = probe_of("avx2");

}  // namespace normfast::test
