// Which kernels run: chosen once from the processor, or by NORMFAST_ISA.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace normfast {

// All tables built into this library, plainest first.
const std::vector<const KernelTable*>& built_kernels();

// Those this processor (and its operating system: XGETBV) can run.
const std::vector<const KernelTable*>& available_kernels();

// The table in use: NORMFAST_ISA, else the last available. Throws ValueError where NORMFAST_ISA
// names what is not available.
const KernelTable& kernels();

// use_isa() is public: normfast/info.hpp.

std::string cpu_name();

}  // namespace normfast
