#include "api/prepared.hpp"

#include <utility>

#include "plan/overlap.hpp"

namespace normfast {

void set_apart(View& written) {
  if (!written.given()) return;
  if (overlaps_itself(written)) throw ValueError("out or sum has elements that share memory");
  written.apart = true;
}

Prepared::Prepared(std::shared_ptr<const Call> call) : call_(std::move(call)) {}

void Prepared::run(const Arrays& arrays) const { call_->run(arrays); }

std::int64_t Prepared::blocks() const { return call_->blocks(); }

void Prepared::run(const Arrays& arrays, std::int64_t first_block, std::int64_t last_block) const {
  call_->run(arrays, first_block, last_block);
}

}  // namespace normfast
