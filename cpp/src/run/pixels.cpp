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
    const char* x = p_.x.data + at[kX];
    char* y = p_.y.data + at[kY];
    if (split_) split_(x, count, p_.channels, split);
    const bool beside = !join_ && p_.y.unit() == step(kY);
    for (int c = 0; c < p_.channels; ++c) {
      const char* from = split + p_.from[c] * kGroup * p_.x.unit();
      if (!split_) from = line(x + p_.from[c] * p_.x_step, count, raw);
      char* const to = beside ? y + c * p_.y_step : joined + (join_ ? c : 0) * kGroup * p_.y.unit();
      channel(static_cast<std::size_t>(c), from, to, count, beside && p_.stream,
              x + count * step(kX));
      if (!join_ && !beside) scatter_line(to, count, y + c * p_.y_step);
    }
    if (join_) join_(joined, count, p_.channels, y);
  }

  // One channel of a piece, past the cache or not, while what lies at `next` is fetched.
  void channel(std::size_t c, const char* from, char* to, int64_t count, bool stream,
               const void* next) const {
    const auto type = static_cast<std::size_t>(p_.y.type);
    const auto bytes = p_.x.type == DType::kUInt8 ? kernels_.map_bytes[type] : nullptr;
    const bool whole =
        reinterpret_cast<std::uintptr_t>(to) % static_cast<std::uintptr_t>(p_.y.unit()) == 0;
    if (bytes && whole && maps_.fits[c]) {
      return bytes(reinterpret_cast<const uint8_t*>(from), to, count, maps_.maps[c], stream);
    }
    T tile[kGroup];
    const T* x = reinterpret_cast<const T*>(from);
    if (!holds<T>(p_.x.type, from)) {
      kernels_.widen[static_cast<std::size_t>(p_.x.type)](from, tile, count);
      x = tile;
    }
    if (holds<T>(p_.y.type, to)) {
      return map(c, x, reinterpret_cast<T*>(to), count, stream, x == tile ? 0 : kGroup * sizeof(T));
    }
    map(c, x, tile, count, false, 0);
    if (stream && kernels_.stream_narrow[type]) {
      kernels_.stream_narrow[type](tile, to, count, next);
    } else {
      kernels_.narrow[type](tile, to, count);
    }
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

  void map(std::size_t c, const T* x, T* y, int64_t count, bool stream, int64_t ahead) const {
    const auto& kernels = kernels_.of(kTypeOf<T>);
    const Normalizer<T>& m = maps_.maps[c];
    const RowMaps<T> map = {&m.center, &m.scale, &m.shift};
    if (!maps_.fits[c]) {
      apply_exact<T>(maps_.statistics[c], x, y, count, nullptr, nullptr);
    } else if (stream) {
      Seam none;  // a piece is no row: it ends where it does
      kernels.stream_rows(x, 0, y, 0, 1, count, map, ahead, none);
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
