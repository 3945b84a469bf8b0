// Numbers of sixteen bits: how one is widened, and rounded to nearest even. Exact, subnormals kept;
// every vector file must agree with these.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace normfast {
namespace {

// The exponent is moved by a multiplication, which also normalises subnormals.
[[maybe_unused]] float to_float(Half h) {
  const uint32_t sign = (h.bits & 0x8000u) << 16, magnitude = h.bits & 0x7fffu;
  uint32_t bits = magnitude << 13;
  if (magnitude >= 0x7c00) {
    bits |= 0x7f800000 | (magnitude > 0x7c00 ? 0x400000 : 0);
  } else {
    bits = std::bit_cast<uint32_t>(std::bit_cast<float>(bits) * 0x1p112f);
  }
  return std::bit_cast<float>(sign | bits);
}

[[maybe_unused]] float to_float(BFloat16 b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b.bits) << 16);
}

[[maybe_unused]] float to_float(uint8_t byte) { return byte; }

template <class H>
H from_float(float value);

template <>
[[maybe_unused]] Half from_float<Half>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  } else if (magnitude >= 0x477ff000) {  // 65520, the midpoint above the largest
    half = 0x7c00;
  } else if (magnitude < 0x38800000) {
    // 0.5 has the last place of a subnormal: the addition rounds.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  } else {
    half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

template <>
[[maybe_unused]] BFloat16 from_float<BFloat16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  const uint32_t rounded = nan ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1);
  return {static_cast<uint16_t>(rounded >> 16)};
}

}  // namespace
}  // namespace normfast
