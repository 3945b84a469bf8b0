#include "simd/avx512.hpp"

#include "probe.inl"

namespace normfast::test {

extern constinit const Probe kProbeAvx512 = probe_of("avx512");

}  // namespace normfast::test
