#include "run/pixels.hpp"

#include "parallel/parallel.hpp"
#include "run/sequence.inl"

namespace normfast {
namespace {

constexpr int kSplit = 4;  // channels that are split or joined at once, at most

int index_of(int64_t unit) { return unit == 1 ? 0 : unit == 2 ? 1 : unit == 4 ? 2 : 3; }

template <class T>
class Pass {
 public:
  Pass(const Pixels& p, const ChannelMaps<T>& maps, const KernelTable& table,
       const Kernels<T>& kernels)
      : p_(p),
        kernels_(kernels),
        maps_(maps),
        split_(interleaved(p.x, kX, p.x_step) ? table.split[index_of(p.x.unit())] : nullptr),
        join_(interleaved(p.y, kY, p.y_step) ? table.join[index_of(p.y.unit())] : nullptr) {}

  void operator()(int64_t begin, int64_t end) const {
    for_runs(p_.nest, begin, end, [&](int64_t, const Offsets& at, int64_t count) {
      for_line_pieces(p_.y.data + at[kY], p_.y.unit(), count, [&](int64_t b, int64_t e) {
        Offsets o = at;
        if (p_.nest.ndim() > 0) o.add(p_.nest.inner().step, b);
        piece(o, e - b);
      });
    });
  }

 private:
  // Whether split or join may walk it.
  bool interleaved(const Array& a, Operand o, int64_t step) const {
    return p_.channels >= 2 && p_.channels <= kSplit && step == a.unit() &&
           (p_.nest.size() == 1 || p_.nest.inner_step(o) == p_.channels * a.unit()) &&
           aligned(a.data, p_.nest, o, a.unit());
  }

  void piece(const Offsets& at, int64_t count) const {
    alignas(64) char split[kSplit * kGroup * 8], joined[kSplit * kGroup * 8], raw[kGroup * 8];
    const int64_t x_unit = p_.x.unit(), y_unit = p_.y.unit();
    const char* x = p_.x.data + at[kX];
    char* y = p_.y.data + at[kY];
    if (split_) split_(x, count, p_.channels, split);
    const auto widen = kernels_.widen[static_cast<int>(p_.x.type)];
    const auto narrow = kernels_.narrow[static_cast<int>(p_.y.type)];
    const bool beside = !join_ && y_unit == step(kY);
    const auto stream =
        beside && p_.stream ? kernels_.stream_narrow[static_cast<int>(p_.y.type)] : nullptr;
    for (int c = 0; c < p_.channels; ++c) {
      const char* from = split + p_.from[c] * kGroup * x_unit;
      if (!split_) from = line(x + p_.from[c] * p_.x_step, count, raw);
      T tile[kGroup];
      widen(from, tile, count);
      char* to = join_ ? joined + c * kGroup * y_unit : beside ? y + c * p_.y_step : raw;
      const bool lies = holds<T>(p_.y.type, to);
      T* const mapped = lies ? reinterpret_cast<T*>(to) : tile;
      map(static_cast<std::size_t>(c), tile, mapped, count, lies && beside);
      if (!lies && stream) stream(tile, to, count, x + count * step(kX));
      if (!lies && !stream) narrow(tile, to, count);
      if (!join_ && !beside) scatter_line(raw, count, y + c * p_.y_step);
    }
    if (join_) join_(joined, count, p_.channels, y);
  }

  int64_t step(Operand o) const { return p_.nest.size() == 1 ? 0 : p_.nest.inner_step(o); }

  // One channel of consecutive pixels.
  const char* line(const char* x, int64_t count, char* raw) const {
    if (step(kX) == p_.x.unit()) return x;
    gather(along(kX, count), kX, x, 0, count, p_.x.unit(), raw);
    return raw;
  }
  void scatter_line(const char* raw, int64_t count, char* y) const {
    scatter(along(kY, count), kY, y, 0, count, p_.y.unit(), raw);
  }
  Nest along(Operand o, int64_t count) const {
    Dim dim = {count, Offsets::zero()};
    dim.step.at[o] = step(o);
    Nest nest;
    nest.push(dim);
    return nest;
  }

  void map(std::size_t c, const T* x, T* y, int64_t count, bool last) const {
    const auto& kernels = kernels_.of(kTypeOf<T>);
    const Normalizer<T>& m = maps_.maps[c];
    const RowMaps<T> map = {&m.center, &m.scale, &m.shift};
    if (!maps_.fits[c]) {
      apply_exact<T>(maps_.statistics[c], x, y, count, nullptr, nullptr);
    } else if (last && p_.stream) {
      Seam none;  // a piece is no row: it ends where it does
      kernels.stream_rows(x, 0, y, 0, 1, count, map, 0, none);
      none.leave();
    } else {
      kernels.apply_rows(x, 0, y, 0, 1, count, map);
    }
  }

  const Pixels& p_;
  const Kernels<T>& kernels_;
  const ChannelMaps<T>& maps_;
  const KernelTable::SplitPixels split_;  // null: not interleaved
  const KernelTable::JoinPixels join_;
};

}  // namespace

template <class T>
ChannelMaps<T>::ChannelMaps(const Pixels& p, const Kernels<T>& kernels)
    : statistics(static_cast<std::size_t>(p.channels)),
      maps(statistics.size()),
      fits(statistics.size()) {
  for (std::size_t c = 0; c < statistics.size(); ++c) {
    statistics[c] = {1, p.mean[c], 0, p.rstd[c]};
    fits[c] = fold<T>(kernels, statistics[c], nullptr, nullptr, maps[c]);
  }
}

template <class T>
void run(const Pixels& pixels, const ChannelMaps<T>& maps, const KernelTable& table,
         const Kernels<T>& kernels, int64_t begin, int64_t end) {
  const Pass<T> pass(pixels, maps, table, kernels);
  parallel_for(pixels.threads, end - begin, [&](int64_t b, int64_t e) {
    pass(begin + b, begin + e);
    if (pixels.stream) table.fence();
  });
}

template struct ChannelMaps<float>;
template struct ChannelMaps<double>;
template void run<float>(const Pixels&, const ChannelMaps<float>&, const KernelTable&,
                         const Kernels<float>&, int64_t, int64_t);
template void run<double>(const Pixels&, const ChannelMaps<double>&, const KernelTable&,
                          const Kernels<double>&, int64_t, int64_t);

}  // namespace normfast
