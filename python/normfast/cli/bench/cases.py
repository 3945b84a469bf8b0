"""The cases: shapes that real models feed to each operation.

Only data. A case that a user misses is one more line here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an operation is told besides its arrays; each reads those it has.

    ``where``: what counts in the statistics. "padding": of every sample its first steps, as in a
    batch of sequences; "missing": four of five elements.
    """

    axis: tuple[int, ...] = ()
    channel_axis: int = 1
    training: bool = False
    num_groups: int = 1
    eps: float = 1e-5
    residual: bool = False
    add: bool = False
    activation: str | None = None
    where: str | None = None


@dataclass(frozen=True)
class Case:
    """One operation on one shape.

    ``call`` marks the arrays so small that the cost of the call is what counts: they are
    compared with ``np.add`` of the same array instead of a copy. ``out_dtype``: where the result
    has another dtype.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    options: Options = Options()
    call: bool = False
    dtype: str = "float32"
    out_dtype: str | None = None

    @property
    def result_dtype(self) -> str:
        """The name of the result's dtype."""
        return self.out_dtype or self.dtype

    @property
    def label(self) -> str:
        """The name, with the result's dtype where it is another than most."""
        return self.name + ("" if self.result_dtype == "float32" else f", {self.result_dtype}")

    @property
    def title(self) -> str:
        """What ``--filter`` looks at."""
        return f"{self.op} {self.label}"


FIRST = Options(channel_axis=1)
FIRST_TRAINING = Options(channel_axis=1, training=True)
LAST = Options(channel_axis=-1)
LAST_TRAINING = Options(channel_axis=-1, training=True)
FEATURES = Options(axis=(-1,))
FEATURES_OF_SUM = Options(axis=(-1,), residual=True)
RELU = Options(channel_axis=1, activation="relu")
RELU_LAST = Options(channel_axis=-1, activation="relu")
ADD_RELU = Options(channel_axis=1, activation="relu", add=True)
ADD_RELU_LAST = Options(channel_axis=-1, activation="relu", add=True)
PADDED_LAST = Options(channel_axis=-1, where="padding")
PADDED_LAST_TRAINING = Options(channel_axis=-1, training=True, where="padding")

CASES = (
    Case("mean_var", "ImageNet batch 32, NCHW", (32, 3, 224, 224), Options(axis=(0, 2, 3))),
    Case("mean_var", "ImageNet batch 32, NHWC", (32, 224, 224, 3), Options(axis=(0, 1, 2))),
    Case("mean_var", "tabular 262144 x 54", (262144, 54), Options(axis=(0,))),
    Case(
        "mean_var",
        "padded speech 32 x 1000 x 80",
        (32, 1000, 80),
        Options(axis=(0, 1), where="padding"),
    ),
    # Evaluation: the statistics are given.
    Case("batch_norm", "ResNet-50 conv1, NCHW", (8, 64, 112, 112), FIRST),
    Case("batch_norm", "ResNet-50 conv1, NHWC", (8, 112, 112, 64), LAST),
    Case("batch_norm", "ResNet-50 conv2, NCHW, 1 image", (1, 64, 56, 56), FIRST),
    Case("batch_norm", "ResNet-50 conv5, NCHW", (64, 2048, 7, 7), FIRST),
    Case("batch_norm", "ResNet-50 conv5, NHWC", (64, 7, 7, 2048), LAST),
    # The two ends of a bottleneck block: after a convolution, and after the last one.
    Case("batch_norm", "ReLU, ResNet-50 conv2, NCHW", (8, 256, 56, 56), RELU),
    Case("batch_norm", "ReLU, ResNet-50 conv2, NHWC", (8, 56, 56, 256), RELU_LAST),
    Case("batch_norm", "add, ReLU, ResNet-50 conv2, NCHW", (8, 256, 56, 56), ADD_RELU),
    Case("batch_norm", "add, ReLU, ResNet-50 conv2, NHWC", (8, 56, 56, 256), ADD_RELU_LAST),
    Case("batch_norm", "add, ReLU, ResNet-50 conv5, NCHW", (8, 2048, 7, 7), ADD_RELU),
    Case("batch_norm", "tabular 64 x 256", (64, 256), FIRST),
    Case("batch_norm", "tabular 256 x 512", (256, 512), FIRST),
    Case("batch_norm", "single row of 768", (1, 768), FIRST, call=True),
    Case("batch_norm", "training, ResNet-50 conv1, NCHW", (8, 64, 112, 112), FIRST_TRAINING),
    Case("batch_norm", "training, ResNet-50 conv1, NHWC", (8, 112, 112, 64), LAST_TRAINING),
    Case("batch_norm", "training, ResNet-50 conv2, NCHW", (32, 256, 56, 56), FIRST_TRAINING),
    Case("batch_norm", "training, ResNet-50 conv5, NCHW", (64, 2048, 7, 7), FIRST_TRAINING),
    Case("batch_norm", "training, ResNet-50 conv5, NHWC", (64, 7, 7, 2048), LAST_TRAINING),
    Case("batch_norm", "training, tabular 256 x 512", (256, 512), FIRST_TRAINING),
    Case("batch_norm", "training, tabular 65536 x 256", (65536, 256), FIRST_TRAINING),
    Case(
        "batch_norm",
        "training, padded speech 32x1000x80",
        (32, 1000, 80),
        PADDED_LAST_TRAINING,
    ),
    # Over the features of a token; ConvNeXt: over the channels of a pixel.
    Case("layer_norm", "BERT-base, 32 tokens", (32, 768), FEATURES),
    Case("layer_norm", "BERT-base, 512 tokens", (512, 768), FEATURES),
    Case("layer_norm", "BERT-base, 32 x 512 tokens", (32, 512, 768), FEATURES),
    Case("layer_norm", "ViT-B/16, batch 8", (8, 197, 768), FEATURES),
    Case("layer_norm", "ConvNeXt-T stage 1, NCHW", (8, 96, 56, 56), Options(axis=(1,), eps=1e-6)),
    Case("layer_norm", "ConvNeXt-T stage 4, NCHW", (8, 768, 7, 7), Options(axis=(1,), eps=1e-6)),
    Case("layer_norm", "residual, BERT-base, 512 tokens", (512, 768), FEATURES_OF_SUM),
    Case("layer_norm", "BERT-base, 512 tokens", (512, 768), FEATURES, dtype="bfloat16"),
    Case("layer_norm", "BERT-base, 512 tokens", (512, 768), FEATURES, dtype="float16"),
    Case(
        "layer_norm",
        "residual, BERT-base, 512 tokens",
        (512, 768),
        FEATURES_OF_SUM,
        dtype="bfloat16",
    ),
    Case(
        "layer_norm",
        "residual, BERT-base, 512 tokens",
        (512, 768),
        FEATURES_OF_SUM,
        dtype="float16",
    ),
    Case(
        "layer_norm",
        "residual, BERT-base, 32 x 512 tokens",
        (32, 512, 768),
        FEATURES_OF_SUM,
        dtype="bfloat16",
    ),
    Case(
        "layer_norm",
        "missing values, 65536 x 256",
        (65536, 256),
        Options(axis=(-1,), where="missing"),
    ),
    Case("layer_norm", "single row of 768", (1, 768), FEATURES, call=True),
    Case("rms_norm", "Llama-2-7B, 8 tokens", (8, 4096), FEATURES),
    Case("rms_norm", "Llama-2-7B, 2048 tokens", (2048, 4096), FEATURES),
    Case("rms_norm", "residual, Llama-2-7B, 8 tokens", (8, 4096), FEATURES_OF_SUM),
    Case("rms_norm", "Llama-2-7B, 2048 tokens", (2048, 4096), FEATURES, dtype="bfloat16"),
    Case("rms_norm", "Llama-2-7B, 2048 tokens", (2048, 4096), FEATURES, dtype="float16"),
    Case(
        "rms_norm", "residual, Llama-2-7B, 8 tokens", (8, 4096), FEATURES_OF_SUM, dtype="bfloat16"
    ),
    Case("rms_norm", "residual, Llama-2-7B, 8 tokens", (8, 4096), FEATURES_OF_SUM, dtype="float16"),
    Case(
        "rms_norm",
        "residual, Llama-2-7B, 2048 tokens",
        (2048, 4096),
        FEATURES_OF_SUM,
        dtype="bfloat16",
    ),
    Case("rms_norm", "single row of 768", (1, 768), FEATURES, call=True),
    # 320 channels in groups of 10, 1280 in groups of 40.
    Case("group_norm", "Stable Diffusion 64 x 64, NCHW", (2, 320, 64, 64), Options(num_groups=32)),
    Case(
        "group_norm",
        "Stable Diffusion 64 x 64, NHWC",
        (2, 64, 64, 320),
        Options(num_groups=32, channel_axis=-1),
    ),
    Case("group_norm", "Stable Diffusion 8 x 8, NCHW", (2, 1280, 8, 8), Options(num_groups=32)),
    Case(
        "group_norm",
        "Stable Diffusion 8 x 8, NHWC",
        (2, 8, 8, 1280),
        Options(num_groups=32, channel_axis=-1),
    ),
    # Planes of 65536 and 4096.
    Case("instance_norm", "style transfer, NCHW", (4, 32, 256, 256), FIRST),
    Case("instance_norm", "style transfer, NHWC", (4, 256, 256, 32), LAST),
    Case("instance_norm", "style transfer residual, NCHW", (1, 128, 64, 64), FIRST),
    # Each utterance by its own steps.
    Case("instance_norm", "padded speech 32 x 1000 x 80", (32, 1000, 80), PADDED_LAST),
    Case("normalize", "embeddings 65536 x 384", (65536, 384), Options(axis=(-1,), eps=1e-12)),
    Case("normalize", "embeddings 512 x 384", (512, 384), Options(axis=(-1,), eps=1e-12)),
    Case("normalize", "SuperPoint, axis 1", (4, 256, 60, 80), Options(axis=(1,), eps=1e-12)),
    Case("normalize", "single row of 768", (1, 768), Options(axis=(-1,), eps=1e-12), call=True),
    Case("weight_norm", "conv 512 x 512 x 3 x 3", (512, 512, 3, 3), Options(channel_axis=0)),
    Case("weight_norm", "HiFi-GAN conv 128 x 128 x 11", (128, 128, 11), Options(channel_axis=0)),
    # A column a feature.
    Case("standardize", "California housing 20640 x 8", (20640, 8), Options(axis=(0,))),
    Case("standardize", "covertype 262144 x 54", (262144, 54), Options(axis=(0,))),
    # Pixels in, HWC; the network's input out, CHW.
    *(
        Case("normalize_image", name, shape, LAST, dtype="uint8", out_dtype=out_dtype)
        for out_dtype in ("float32", "float16")
        for name, shape in (
            ("ImageNet 224 x 224", (224, 224, 3)),
            ("VGA 640 x 480", (480, 640, 3)),
            ("Full HD 1920 x 1080", (1080, 1920, 3)),
            ("ImageNet batch 32", (32, 224, 224, 3)),
        )
    ),
)
