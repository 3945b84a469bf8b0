"""The operations: their signatures and documentation. What they do and check is in C++."""

import numpy as np

from normfast._core import operation

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "mean_var",
    "normalize",
    "normalize_image",
    "rms_norm",
    "standardize",
    "weight_norm",
]


@operation
def mean_var(
    x,
    axis=None,
    *,
    correction=0,
    keepdims=False,
    where=None,
    sample_weight=None,
    num_threads=None,
):
    """Mean and variance together, to float64 accuracy.

    ::

        mean = sum(x) / n
        var = sum((x - mean)**2) / (n - correction)

    No digits cancel, however far the mean is from zero and whichever axes are reduced: blocks are
    centred, or shown to need no centring, and merged by Chan's formula [1]_. The sums of uint8 and
    int8 are exact.

    Parameters
    ----------
    x : array of floats or integers
        Of float32, float64, float16, bfloat16, uint8, int8, int16, uint16 or int32.
    axis : int or tuple of ints, optional
        The axes to reduce; None: all of them.
    correction : float
        1 gives the unbiased variance, 0 the variance of the population. Must be less than n.
    keepdims : bool
        Keep the reduced axes, with size 1.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics. With none selected
        mean and variance are 0; with no more than `correction` the variance is NaN.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    mean, var : ndarray of float64
        Scalars where every axis is reduced and keepdims is False.

    Raises
    ------
    ValueError
        No elements to reduce, n <= correction, an axis out of range or given twice, a mask or
        weights that do not broadcast to x, or a weight that is negative, infinite or NaN.
    TypeError
        x is not an array of a dtype named above.

    References
    ----------
    .. [1] Chan, Golub, LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983).

    Examples
    --------
    >>> x = np.array([[40000, 40001], [40002, 40003]], dtype=np.float32)
    >>> nf.mean_var(x)
    (np.float64(40001.5), np.float64(1.25))
    >>> nf.mean_var(x, axis=0, correction=1)
    (array([40001., 40002.]), array([2., 2.]))

    A NaN that is not selected does no harm, and a weight of 3 counts an element three times:

    >>> x = np.array([2.0, 4.0, np.nan])
    >>> nf.mean_var(x, where=~np.isnan(x), sample_weight=np.array([3.0, 1.0, 1.0]))
    (np.float64(2.5), np.float64(0.75))
    """


@operation
def layer_norm(
    x,
    normalized_shape=None,
    weight=None,
    bias=None,
    eps=1e-5,
    *,
    axis=None,
    residual=None,
    activation=None,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Layer normalisation: every sample gets mean 0 and variance 1 over the given axes.

    ::

        y = activation((s - mean) / sqrt(var + eps) * weight + bias),    s = x + residual

    with the mean and the population variance of s over `axis`, as in [1]_ and ONNX
    LayerNormalization. Where var + eps is 0 the result is exactly activation(bias).

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
    normalized_shape : int or tuple of ints, optional
        The shape of the trailing axes to normalise, as in PyTorch. Give this, or `axis`, or
        neither: then it is the last axis.
    weight, bias : array of float32, float64, float16 or bfloat16, optional
        Scale and shift. The shape of the normalised axes, in increasing order of axis; or x.ndim
        axes that broadcast to x.
    eps : float
        Added to the variance; 0 is allowed.
    axis : int or tuple of ints, optional
        The axes to normalise, any of them.
    residual : array of floats, the shape of x, optional
        Added to x first. Statistics and y are those of the sum in the computing type, before it
        is rounded to the dtype it is returned in.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last; `help(normfast)` has the formulas.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected the mean is 0 and rstd is 1.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, the residual itself, or memory that overlaps no argument. With
        residual also a tuple (y, sum), each of them such an array or None.
    return_stats : bool
        Also return the statistics.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    sum : ndarray
        With residual: x + residual, in the wider of their two dtypes (of float16 and bfloat16:
        float32).
    mean, rstd : ndarray of float64
        With return_stats: the mean and 1 / sqrt(var + eps), the normalised axes kept as size 1.

    Raises
    ------
    ValueError
        A shape, an axis or eps does not fit, both normalized_shape and axis are given, a weight of
        a sample is negative, infinite or NaN, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450.

    Examples
    --------
    >>> x = np.array([[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, 2.0]])
    >>> y, mean, rstd = nf.layer_norm(x, return_stats=True)
    >>> y.round(3)
    array([[-1.342, -0.447,  0.447,  1.342],
           [ 0.   ,  0.   ,  0.   ,  0.   ]])
    >>> mean
    array([[4.],
           [2.]])

    The channels of an image batch in NCHW order, without a transpose:

    >>> images = np.ones((8, 3, 16, 16), dtype=np.float32)
    >>> nf.layer_norm(images, weight=np.ones(3), bias=np.zeros(3), axis=1).shape
    (8, 3, 16, 16)

    Add and normalise in one pass, as between the blocks of a transformer; the second array is the
    sum, here written over the residual:

    >>> stream = np.array([[1.0, 1.0, 5.0, 5.0]])
    >>> x = np.array([[0.0, 0.0, 2.0, 2.0]])
    >>> nf.layer_norm(x, eps=0.0, residual=stream, out=(np.empty_like(x), stream))
    (array([[-1., -1.,  1.,  1.]]), array([[1., 1., 7., 7.]]))
    """


@operation
def rms_norm(
    x,
    normalized_shape=None,
    weight=None,
    eps=None,
    *,
    axis=None,
    weight_offset=0.0,
    residual=None,
    activation=None,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Root mean square normalisation: layer_norm without subtracting the mean.

    ::

        y = activation(s / sqrt(mean(s**2) + eps) * (weight + weight_offset)),    s = x + residual

    as in [1]_ and ONNX RMSNormalization. Where mean(s**2) + eps is 0 the result is 0.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
    normalized_shape : int or tuple of ints, optional
        The shape of the trailing axes to normalise, as in PyTorch. Give this, or `axis`, or
        neither: then it is the last axis.
    weight : array of float32, float64, float16 or bfloat16, optional
        Scale. The shape of the normalised axes, in increasing order of axis; or x.ndim axes that
        broadcast to x.
    eps : float, optional
        Added to the mean square; 0 is allowed. None: the machine epsilon of the computing type,
        as in PyTorch.
    axis : int or tuple of ints, optional
        The axes to normalise, any of them.
    weight_offset : float
        Added to the weight: 1 for models that store weight - 1, as Gemma [2]_. Without a weight it
        has no effect.
    residual : array of floats, the shape of x, optional
        Added to x first. Statistics and y are those of the sum in the computing type, before it
        is rounded to the dtype it is returned in.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last; `help(normfast)` has the formulas.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected the mean is 0 and rstd is 1.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, the residual itself, or memory that overlaps no argument. With
        residual also a tuple (y, sum), each of them such an array or None.
    return_stats : bool
        Also return the statistic.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    sum : ndarray
        With residual: x + residual, in the wider of their two dtypes (of float16 and bfloat16:
        float32).
    rstd : ndarray of float64
        With return_stats: 1 / sqrt(mean(s**2) + eps), the normalised axes kept as size 1.

    Raises
    ------
    ValueError
        A shape, an axis or eps does not fit, both normalized_shape and axis are given, a weight of
        a sample is negative, infinite or NaN, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    Notes
    -----
    Half types are rounded once, at the end, as in Gemma: the weight is widened to the computing
    type, weight_offset is added there, and so is the product with s * rstd formed. Llama's code
    rounds s * rstd to the half type before it multiplies by the weight: that is
    ``nf.rms_norm(x) * weight``.

    References
    ----------
    .. [1] Zhang, Sennrich, "Root mean square layer normalization", arXiv:1910.07467.
    .. [2] Gemma Team, "Gemma: open models based on Gemini research and technology",
       arXiv:2403.08295.

    Examples
    --------
    >>> x = np.array([[1.0, -1.0, 7.0, 7.0]])
    >>> nf.rms_norm(x, eps=0.0)
    array([[ 0.2, -0.2,  1.4,  1.4]])
    >>> nf.rms_norm(x, weight=np.array([0.0, 0.0, 0.0, 1.0]), eps=0.0, weight_offset=1.0)
    array([[ 0.2, -0.2,  1.4,  2.8]])
    """


@operation
def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    *,
    channel_axis=1,
    running_var_correction=1,
    num_batches_tracked=None,
    add=None,
    activation=None,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Batch normalisation: every channel gets mean 0 and variance 1 over the batch.

    ::

        y = activation((x - mean) / sqrt(var + eps) * weight + bias + add)

    as in [1]_ and ONNX BatchNormalization. In evaluation mean and var are the running statistics.
    In training they are the mean and the population variance over every axis but the channel's,
    and the running statistics move towards them, in place::

        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * n / (n - running_var_correction) - running_var)

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
        (N, C, ...) by default; any number of axes from 1 (in training from 2).
    running_mean, running_var : array of floats, shape (C,), or None
        Evaluation needs both; training takes both, which it updates, or neither.
    weight, bias : array of float32, float64, float16 or bfloat16, shape (C,), optional
        Scale and shift of each channel.
    training : bool
        Normalise by the batch's own statistics.
    momentum : float, optional
        The share of the new batch in the running statistics (PyTorch's meaning: ONNX and Keras
        name the share that is kept). None: the average of all batches, by num_batches_tracked.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int or tuple of ints
        The axis that keeps its own statistics; -1 for (N, ..., C). With several, C above stands
        for their sizes in increasing order of axis.
    running_var_correction : float
        1: running_var is the unbiased variance, as in PyTorch; 0: the population's, as in ONNX.
    num_batches_tracked : array of int64, shape (), optional
        Counts the batches: incremented in training.
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation: the shortcut of a residual network.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last; `help(normfast)` has the formulas.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected the mean is 0 and rstd is 1.
        Training only: a channel with none selected keeps its running statistics.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    mean, rstd : ndarray of float64
        With return_stats: the mean and the 1 / sqrt(var + eps) used, all but the channel axis of
        size 1.

    Raises
    ------
    ValueError
        A shape, an axis, eps or momentum does not fit; evaluation without running statistics;
        training with one value (or one selected) per channel; a weight of a sample is negative,
        infinite or NaN; out overlaps an argument. Nothing was updated.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Ioffe, Szegedy, "Batch normalization", arXiv:1502.03167.

    Examples
    --------
    >>> x = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> running_mean, running_var = np.zeros(2), np.ones(2)
    >>> nf.batch_norm(x, running_mean, running_var, training=True, eps=0.0)
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> running_mean, running_var
    (array([0.2, 1. ]), array([1.1, 0.9]))

    The batch's own statistics, here for channels last:

    >>> images = np.ones((8, 16, 16, 3), dtype=np.float32)
    >>> y, mean, rstd = nf.batch_norm(
    ...     images, None, None, training=True, channel_axis=-1, return_stats=True
    ... )
    >>> mean.ravel()
    array([1., 1., 1.])

    Sequences of 3 and 1 steps in (N, C, T) order, without what pads the second:

    >>> x = np.array([[[1.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]])
    >>> lengths = np.array([3, 1])
    >>> where = np.arange(3) < lengths[:, None, None]
    >>> y, mean, rstd = nf.batch_norm(
    ...     x, None, None, training=True, where=where, return_stats=True
    ... )
    >>> mean.item()
    3.0
    """


@operation
def instance_norm(
    x,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
    *,
    channel_axis=1,
    add=None,
    activation=None,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Instance normalisation: every channel of every sample gets mean 0 and variance 1.

    ::

        y = activation((x - mean) / sqrt(var + eps) * weight + bias + add)

    with the mean and the population variance over every axis but the batch's and the channel's,
    as in [1]_ and ONNX InstanceNormalization. The batch axis is the first that is not the
    channel's. Running statistics, where given, move in place by `momentum` towards the mean over
    the batch of the samples' means and unbiased variances.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
        (N, C, ...) by default.
    running_mean, running_var : array of floats, shape (C,), optional
        Both or neither. Updated where use_input_stats is True, used where it is False.
    weight, bias : array of float32, float64, float16 or bfloat16, shape (C,), optional
        Scale and shift of each channel.
    use_input_stats : bool
        False: normalise by the running statistics.
    momentum : float
        The share of the new batch in the running statistics.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int
        The channels' axis; -1 for (N, ..., C).
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation: the shortcut of a residual network.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last; `help(normfast)` has the formulas.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected the mean is 0 and rstd is 1.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    mean, rstd : ndarray of float64
        With return_stats: the mean and the 1 / sqrt(var + eps) used, reduced axes kept as size 1:
        (N, C, 1, ...), or (1, C, 1, ...) where they are the running statistics.

    Raises
    ------
    ValueError
        A shape, an axis or eps does not fit; running statistics are needed and missing; one value
        (or one selected) per channel and sample; a weight of a sample is negative, infinite or
        NaN; out overlaps an argument. Nothing was updated.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing ingredient for fast
       stylization", arXiv:1607.08022.

    Examples
    --------
    >>> x = np.array([[[1.0, 3.0], [10.0, 30.0]]])
    >>> nf.instance_norm(x, eps=0.0)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """


@operation
def group_norm(
    x,
    num_groups,
    weight=None,
    bias=None,
    eps=1e-5,
    *,
    channel_axis=1,
    add=None,
    activation=None,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Group normalisation: every group of channels of every sample gets mean 0 and variance 1.

    ::

        y = activation((x - mean) / sqrt(var + eps) * weight + bias + add)

    with the mean and the population variance over C / num_groups consecutive channels and every
    axis but the batch's, as in [1]_ and ONNX GroupNormalization. The batch axis is the first that
    is not the channel's. One group: layer norm over a whole sample; C groups: instance norm.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
        (N, C, ...) by default.
    num_groups : int
        Must divide C.
    weight, bias : array of float32, float64, float16 or bfloat16, shape (C,), optional
        Scale and shift of each channel.
    eps : float
        Added to the variance; 0 is allowed.
    channel_axis : int
        The channels' axis; -1 for (N, ..., C).
    add : array of floats, the shape of x, optional
        Added after weight and bias, before the activation: the shortcut of a residual network.
    activation : {"relu", "gelu", "gelu_tanh", "silu"}, optional
        Applied last; `help(normfast)` has the formulas.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected the mean is 0 and rstd is 1.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, add itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    mean, rstd : ndarray of float64
        With return_stats: the mean and 1 / sqrt(var + eps), of size num_groups at the channel axis
        and 1 at the other reduced axes: (N, num_groups, 1, ...).

    Raises
    ------
    ValueError
        A shape, an axis or eps does not fit, num_groups does not divide C, a weight of a sample is
        negative, infinite or NaN, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Wu, He, "Group normalization", arXiv:1803.08494.

    Examples
    --------
    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> y, mean, rstd = nf.group_norm(x, 2, eps=0.0, return_stats=True)
    >>> y
    array([[-1.,  1., -1.,  1.]])
    >>> mean
    array([[ 2., 20.]])
    >>> nf.group_norm(x, 2, eps=0.0, add=np.full((1, 4), 0.5), activation="relu")
    array([[0. , 1.5, 0. , 1.5]])
    """


@operation
def normalize(
    x,
    p=2.0,
    axis=1,
    eps=1e-12,
    *,
    where=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Scale vectors to unit length.

    ::

        y = x / max(norm, eps),    norm = (sum |x|**p)**(1/p),  or max |x| where p is inf

    as in PyTorch's normalize and, with eps = 0, ONNX LpNormalization [1]_. A zero vector stays
    zero, also with eps = 0. The norm neither overflows nor underflows where x does not.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16
    p : 1, 2 or inf
        Which norm.
    axis : int or tuple of ints, optional
        The axes along which the vectors lie; None: all, one vector.
    eps : float
        The smallest norm to divide by; 0 is allowed.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the norm; every element is divided.
        With none selected the norm is 0 and y is x.
    dtype : float dtype, optional
        The dtype of y. None: that of x.
    out : array, optional
        Where to write y: x itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the norm.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    norm : ndarray of float64
        With return_stats: before the maximum with eps, `axis` kept as size 1.

    Raises
    ------
    ValueError
        p, an axis or eps does not fit, the mask does not broadcast to x, or out overlaps an
        argument.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__LpNormalization.html

    Examples
    --------
    >>> x = np.array([[3.0, 4.0], [6e200, -8e200], [0.0, 0.0]])
    >>> nf.normalize(x)
    array([[ 0.6,  0.8],
           [ 0.6, -0.8],
           [ 0. ,  0. ]])
    """


@operation
def weight_norm(
    v, g, channel_axis=0, *, dtype=None, out=None, return_stats=False, num_threads=None
):
    """Weight normalisation: a layer's weights from their direction and their length.

    ::

        w = g * v / ||v||

    with the Euclidean norm over every axis but the channel's, as in [1]_.

    Parameters
    ----------
    v : array of float32, float64, float16 or bfloat16
        The direction: (C, ...) by default.
    g : array of float32, float64, float16 or bfloat16
        The length, of shape (C,), or of v's axes with size 1 in all but the channel's.
    channel_axis : int or tuple of ints, optional
        The axis that keeps its own norms. None: one norm over all of v, and g has shape ().
    dtype : float dtype, optional
        The dtype of w. None: that of v.
    out : array, optional
        Where to write w: v itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the norm.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    w : ndarray, the shape of v
    norm : ndarray of float64
        With return_stats: ||v||, the reduced axes kept as size 1.

    Raises
    ------
    ValueError
        A shape or an axis does not fit, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Salimans, Kingma, "Weight normalization", arXiv:1602.07868.

    Examples
    --------
    >>> v = np.array([[3.0, 4.0], [0.0, 2.0]])
    >>> nf.weight_norm(v, np.array([10.0, 1.0]))
    array([[6., 8.],
           [0., 1.]])
    """


@operation
def standardize(
    x,
    axis=0,
    *,
    mean=None,
    std=None,
    correction=0,
    where=None,
    sample_weight=None,
    dtype=None,
    out=None,
    return_stats=False,
    num_threads=None,
):
    """Z-score: subtract the mean and divide by the standard deviation.

    ::

        y = (x - mean) / std,    std = sqrt(sum((x - mean)**2) / (n - correction))

    as scikit-learn's StandardScaler [1]_: a standard deviation of 0 divides by 1.

    Parameters
    ----------
    x : array of floats or integers
        Of float32, float64, float16, bfloat16, uint8, int8, int16, uint16 or int32.
    axis : int or tuple of ints, optional
        The axes of the samples; None: all. The default standardises columns.
    mean, std : array of float32, float64, float16 or bfloat16, optional
        Statistics to use in place of x's own, both or neither: those of the training data, as
        return_stats gave them. The axes of x that are not in `axis`; the others may be kept as
        size 1.
    correction : float
        1: the unbiased variance; 0: the population's.
    where : array of bool, optional
        Broadcasts to x. Only elements that are True count in the statistics; every element is
        normalised. With none selected mean and std are 0.
    sample_weight : array of floats or integers, optional
        Broadcasts to x; finite and not negative. With w the weights, sums over x become sums over
        w * x and the count becomes sum(w). A weight of 0 is a `where` of False.
    dtype : float dtype, optional
        The dtype of y. None: that of x; of integers float32 (of int32: float64).
    out : array, optional
        Where to write y: x itself, or memory that overlaps no argument.
    return_stats : bool
        Also return the statistics.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray, the shape of x
    mean, std : ndarray of float64
        With return_stats: the statistics used, `axis` kept as size 1.

    Raises
    ------
    ValueError
        A shape or an axis does not fit, n <= correction, a weight of a sample is negative, infinite
        or NaN, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    References
    ----------
    .. [1] Pedregosa et al., "Scikit-learn: machine learning in Python", Journal of Machine Learning
       Research 12 (2011).

    Examples
    --------
    >>> train = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> y, mean, std = nf.standardize(train, return_stats=True)
    >>> y
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> nf.standardize(np.array([[5.0, 11.0]]), mean=mean, std=std)
    array([[3., 1.]])
    """


@operation
def normalize_image(
    image,
    mean,
    std,
    *,
    scale=None,
    channel_axis=-1,
    out_channel_axis=-3,
    dtype=np.float32,
    swap_rb=False,
    out=None,
    num_threads=None,
):
    """Images from files to what a network takes: scaled, standardised, channels moved; one pass.

    ::

        y = (image * scale - mean) / std

    as ToTensor and then Normalize of torchvision. Computed in float32; of int32 and float64 in
    float64.

    Parameters
    ----------
    image : array of integers or floats
        One image, (H, W, C) by default, or a batch of them; of uint8, int8, int16, uint16, int32,
        float32, float64, float16 or bfloat16.
    mean, std : float, or sequence of C floats
        Those of the training data, after `scale`; in the order of the result's channels.
    scale : float, optional
        Not 0. None: 1/255 for integers, 1 for floats.
    channel_axis, out_channel_axis : int
        Where the channels are in image, and where they are put in y.
    dtype : float dtype
        The dtype of y.
    swap_rb : bool
        Reverse three channels, or the first three of four: RGB to BGR and back.
    out : array, optional
        Where to write y: memory that overlaps no argument.
    num_threads : int, optional
        At most this many threads. Changes no bit of the result.

    Returns
    -------
    y : ndarray of dtype
        The axes of image, with the channels' moved to out_channel_axis: (C, H, W) by default.

    Raises
    ------
    ValueError
        A shape or an axis does not fit, or out overlaps an argument.
    TypeError
        An argument is not an array of a dtype named above.

    Examples
    --------
    >>> image = np.full((2, 4, 3), [0, 51, 255], dtype=np.uint8)
    >>> y = nf.normalize_image(image, mean=[0.5, 0.5, 0.5], std=0.25)
    >>> y.shape, y.dtype
    ((3, 2, 4), dtype('float32'))
    >>> y[:, 0, 0]
    array([-2. , -1.2,  2. ], dtype=float32)
    """
