// A small network for images, in one thread: normalise the image, a convolutional block with batch
// norm, and a head of layer norm and a linear layer. Weights are random: what is shown is how the
// normalisations are prepared once, run on every image without allocating, and what they take
// beside the loops one would write.
//
//     pipeline [image.ppm]    a 224 x 224 image; without it, a pattern
#include <normfast/prepared.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace nf = normfast;

constexpr int kSize = 224, kColours = 3;      // the image: height, width, colours
constexpr int kMaps = 32, kSide = kSize / 2;  // after a convolution of stride 2
constexpr int kPatch = 4, kPatches = kSide / kPatch * (kSide / kPatch);
constexpr int kFeatures = kMaps * kPatch * kPatch, kClasses = 10;
constexpr float kEps = 1e-5f;
constexpr float kMean[kColours] = {0.485f, 0.456f, 0.406f};
constexpr float kDeviation[kColours] = {0.229f, 0.224f, 0.225f};

using Floats = std::vector<float>;

Floats random(std::size_t count, float low, float high, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> value(low, high);
  Floats values(count);
  for (float& v : values) v = value(engine);
  return values;
}

struct Weights {
  Floats kernels = random(kMaps * kColours * 9, -0.3f, 0.3f, 1);
  Floats scale = random(kMaps, 0.5f, 1.5f, 2), shift = random(kMaps, -0.5f, 0.5f, 3);
  Floats mean = random(kMaps, -0.2f, 0.2f, 4), var = random(kMaps, 0.5f, 2, 5);
  Floats gamma = random(kFeatures, 0.5f, 1.5f, 6), beta = random(kFeatures, -0.5f, 0.5f, 7);
  Floats classes = random(kClasses * kFeatures, -0.1f, 0.1f, 8);
};

// Every array of a run, allocated once.
struct Buffers {
  Floats colours = Floats(kColours * kSize * kSize);
  Floats maps = Floats(kMaps * kSide * kSide);
  Floats patches = Floats(kPatches * kFeatures);
  Floats scores = Floats(kClasses);
};

// ---- what is no normalisation: the same in both ways

void convolve(const Floats& x, const Floats& kernels, Floats& y) {
  for (int m = 0; m < kMaps; ++m) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        float sum = 0;
        for (int c = 0; c < kColours; ++c) {
          for (int k = 0; k < 9; ++k) {
            const int row = 2 * i + k / 3 - 1, column = 2 * j + k % 3 - 1;
            if (row < 0 || column < 0) continue;  // padding; on the far side there is none
            sum += kernels[(m * kColours + c) * 9 + k] * x[(c * kSize + row) * kSize + column];
          }
        }
        y[(m * kSide + i) * kSide + j] = sum;
      }
    }
  }
}

void cut_patches(const Floats& maps, Floats& patches) {
  constexpr int kAcross = kSide / kPatch;
  for (int m = 0; m < kMaps; ++m) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        const int patch = i / kPatch * kAcross + j / kPatch;
        const int feature = (m * kPatch + i % kPatch) * kPatch + j % kPatch;
        patches[patch * kFeatures + feature] = maps[(m * kSide + i) * kSide + j];
      }
    }
  }
}

void classify(const Floats& patches, const Floats& classes, Floats& scores) {
  for (int k = 0; k < kClasses; ++k) {
    float sum = 0;
    for (int p = 0; p < kPatches; ++p) {
      for (int f = 0; f < kFeatures; ++f) {
        sum += classes[k * kFeatures + f] * patches[p * kFeatures + f];
      }
    }
    scores[k] = sum / kPatches;
  }
}

// ---- the normalisations, prepared

class Normalisations {
 public:
  // Where an array will lie in a run is not known yet: null.
  explicit Normalisations(const Weights& w)
      : image_([] {
          nf::NormalizeImage options;
          options.out = nf::view(kNowhere, {kColours, kSize, kSize});
          options.mean = nf::view(kMean, {kColours});
          options.deviation = nf::view(kDeviation, {kColours});
          options.channel_axis = 2;
          options.out_channel_axis = 0;
          options.num_threads = 1;
          return nf::prepare(
              nf::view(static_cast<std::uint8_t*>(nullptr), {kSize, kSize, kColours}), options);
        }()),
        batch_([&] {
          const nf::View maps = nf::view(kNowhere, {1, kMaps, kSide, kSide});
          nf::BatchNorm options;
          options.out = maps;
          options.running_mean = nf::view(w.mean.data(), {kMaps});
          options.running_var = nf::view(w.var.data(), {kMaps});
          options.weight = nf::view(w.scale.data(), {kMaps});
          options.bias = nf::view(w.shift.data(), {kMaps});
          options.activation = nf::Activation::kRelu;
          options.eps = kEps;
          options.num_threads = 1;
          return nf::prepare(maps, nf::axis(1), options);
        }()),
        layer_([&] {
          const nf::View patches = nf::view(kNowhere, {kPatches, kFeatures});
          nf::LayerNorm options;
          options.out = patches;
          options.weight = nf::view(w.gamma.data(), {kFeatures});
          options.bias = nf::view(w.beta.data(), {kFeatures});
          options.eps = kEps;
          options.num_threads = 1;
          return nf::prepare(patches, nf::axis(1), options);
        }()) {}

  void image(const std::vector<std::uint8_t>& x, Floats& y) const {
    image_.run({x.data(), y.data()});
  }
  void batch(Floats& x) const { batch_.run({x.data(), x.data()}); }  // in place
  void layer(Floats& x) const { layer_.run({x.data(), x.data()}); }

 private:
  static constexpr float* kNowhere = nullptr;
  nf::Prepared image_, batch_, layer_;
};

// ---- and as loops

class Loops {
 public:
  explicit Loops(const Weights& weights) : w(weights) {}

  void image(const std::vector<std::uint8_t>& x, Floats& y) const {
    for (int c = 0; c < kColours; ++c) {
      for (int p = 0; p < kSize * kSize; ++p) {
        y[c * kSize * kSize + p] = (x[p * kColours + c] / 255.0f - kMean[c]) / kDeviation[c];
      }
    }
  }

  void batch(Floats& x) const {
    for (int m = 0; m < kMaps; ++m) {
      const float rstd = 1 / std::sqrt(w.var[m] + kEps);
      for (int p = 0; p < kSide * kSide; ++p) {
        float& v = x[m * kSide * kSide + p];
        v = std::max((v - w.mean[m]) * rstd * w.scale[m] + w.shift[m], 0.0f);
      }
    }
  }

  void layer(Floats& x) const {
    for (int p = 0; p < kPatches; ++p) {
      float* const row = &x[p * kFeatures];
      float mean = 0, var = 0;
      for (int f = 0; f < kFeatures; ++f) mean += row[f];
      mean /= kFeatures;
      for (int f = 0; f < kFeatures; ++f) var += (row[f] - mean) * (row[f] - mean);
      const float rstd = 1 / std::sqrt(var / kFeatures + kEps);
      for (int f = 0; f < kFeatures; ++f) row[f] = (row[f] - mean) * rstd * w.gamma[f] + w.beta[f];
    }
  }

 private:
  const Weights& w;
};

// ---- the pipeline, whoever normalises

struct Times {
  double image = 1e9, batch = 1e9, layer = 1e9, rest = 1e9;  // microseconds, the least
};

template <class Norms>
void run(const Norms& norms, const Weights& w, const std::vector<std::uint8_t>& photo, Buffers& b,
         Times& least) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last = Clock::now();
  const auto lap = [&] {
    const Clock::time_point now = Clock::now();
    const double us = std::chrono::duration<double, std::micro>(now - last).count();
    last = now;
    return us;
  };
  norms.image(photo, b.colours);
  least.image = std::min(least.image, lap());
  convolve(b.colours, w.kernels, b.maps);
  double rest = lap();
  norms.batch(b.maps);
  least.batch = std::min(least.batch, lap());
  cut_patches(b.maps, b.patches);
  rest += lap();
  norms.layer(b.patches);
  least.layer = std::min(least.layer, lap());
  classify(b.patches, w.classes, b.scores);
  least.rest = std::min(least.rest, rest + lap());
}

std::vector<std::uint8_t> read_image(const char* path) {
  std::vector<std::uint8_t> pixels(kSize * kSize * kColours);
  if (!path) {
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<std::uint8_t>(i * i / 977 % 256);
    }
    return pixels;
  }
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int width = 0, height = 0, most = 0;
  file >> magic >> width >> height >> most;
  file.get();
  file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
  if (!file || magic != "P6" || width != kSize || height != kSize || most != 255) {
    throw std::runtime_error(std::string(path) + " is no 224 x 224 image in the format P6");
  }
  return pixels;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::uint8_t> photo = read_image(argc > 1 ? argv[1] : nullptr);
  const Weights weights;
  const Normalisations normalisations(weights);
  const Loops loops(weights);
  Buffers fast, plain;
  Times a, b;
  for (int i = 0; i < 30; ++i) {
    run(normalisations, weights, photo, fast, a);
    run(loops, weights, photo, plain, b);
  }

  std::printf("microseconds        loops  normfast\n");
  std::printf("normalise image  %8.1f  %8.1f\n", b.image, a.image);
  std::printf("batch norm, ReLU %8.1f  %8.1f\n", b.batch, a.batch);
  std::printf("layer norm       %8.1f  %8.1f\n", b.layer, a.layer);
  std::printf("the rest         %8.1f  %8.1f\n", b.rest, a.rest);
  float largest = 0;
  for (int k = 0; k < kClasses; ++k) {
    largest = std::max(largest, std::fabs(fast.scores[k] - plain.scores[k]));
  }
  const auto best = std::max_element(fast.scores.begin(), fast.scores.end());
  std::printf("class %d; the scores differ by %.0e at most\n",
              static_cast<int>(best - fast.scores.begin()), largest);
  return largest < 1e-4f ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "pipeline: %s\n", e.what());
  return 2;
}
