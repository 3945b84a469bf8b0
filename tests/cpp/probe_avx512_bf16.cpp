#include "simd/avx512.hpp"

#include "probe.inl"

namespace normfast::test {

extern constinit const Probe kProbeAvx512Bf16 = probe_of("avx512_bf16");

}  // namespace normfast::test
