"""Whether a backbone is given the pixels it was trained on.

A normalisation by stored statistics (BatchNorm, or Keras's `Normalization`)
remembers the mean and the variance of what reached it in training. Photos, in
the right range, give the first one of a network about the same; in another
range they do not. Both are taken as normal distributions, and compared by
Jeffreys' divergence, of which the middle channel counts.

On MobileNetV2 with ImageNet's first layers it is 0.08 to 0.13 for pixels of
[-1, 1], which are right, 2.9 for [0, 1] and above 10,000 for [0, 255].

It keeps silent where it cannot tell: in networks without such statistics
(VGG, transformers), in fresh ones, and where no usual range fits, as in
networks that were trained on pictures unlike photos.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones.backbone import Backbone
from embed.backbones.scaling import COMMON
from embed.backbones.scaling import NUM_CHANNELS
from embed.backbones.weights import calibration_images

if TYPE_CHECKING:
    import tensorflow as tf

    from embed.backbones.layer_statistics import Stored

NUM_PHOTOS = 8
SEED = 1  # Other crops than those that set random weights.
# Another range must fit, the one given must not, and by far. With these every
# range was told from the four others for networks trained on photos (60 of
# 60), and of 165 trained on pictures unlike photos (dark, pale, digits, noise)
# four were warned of, three of white documents: less ImageNet's mean, `caffe`,
# they look like photos of 0 to 255.
MIN_MISFIT = 0.5
MAX_FITTING = 0.3  # ImageNet's own mean and deviation are 0.23 from these.
MIN_RATIO = 8.0
IS_FRESH = 0.01  # How close to 0 and 1 statistics are that nobody set.
SMALLEST_SHARE = 1e-6  # Of the largest variance: dead channels have none.


@dataclasses.dataclass(frozen=True)
class RangeFit:
    """How well pixel ranges fit the statistics that a backbone stored.

    Args:
        given: Name of the range it is given.
        misfit: Divergence of that range.
        best: Name of the range that fits best; the one given, where it fits.
        best_misfit: Divergence of that range.
    """

    given: str
    misfit: float
    best: str
    best_misfit: float

    @property
    def is_wrong(self) -> bool:
        """Whether another range fits, and the one given does not."""
        return (
            self.misfit > MIN_MISFIT
            and self.best_misfit <= MAX_FITTING
            and self.misfit > MIN_RATIO * self.best_misfit
        )


def fit_ranges(backbone: Backbone) -> RangeFit | None:
    """Compares photos in each usual range with a backbone's statistics.

    Where they fit in the range that is given no other is tried.

    Returns:
        `None` where the backbone stored none.
    """
    found = _read_statistics(backbone)
    if found is None:
        return None
    activations, mean, variance = found
    photos = calibration_images(
        backbone.image_size, np.random.default_rng(SEED), NUM_PHOTOS
    )

    def misfit_of(pixels: np.ndarray) -> float:
        seen = activations(backbone.scaling.undo(pixels))
        return measure_misfit(seen, mean, variance)

    given = misfit_of(backbone.scaling.scale_array(photos))
    misfits = {backbone.scaling.name: given}
    if given > MIN_MISFIT:
        misfits = {
            name: misfit_of(scaling.scale_array(photos))
            for name, scaling in COMMON.items()
            if not scaling.is_close(backbone.scaling)
        }
    best = min(misfits, key=misfits.__getitem__)
    return RangeFit(
        given=backbone.scaling.name,
        misfit=given,
        best=best,
        best_misfit=misfits[best],
    )


def measure_misfit(
    activations: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> float:
    """Returns the middle channel's Jeffreys divergence from stored statistics.

    J = (v/s + s/v + (m - mu)^2 (1/v + 1/s)) / 2 - 1, of two normal
    distributions with means m, mu and variances v, s (Jeffreys 1946).

    Args:
        activations: `(..., num_channels)`.
        mean: Stored means mu, `(num_channels,)`.
        variance: Stored variances s, `(num_channels,)`.
    """
    seen = activations.reshape(-1, activations.shape[-1]).astype(np.float64)
    floor = SMALLEST_SHARE * max(float(variance.max()), SMALLEST_SHARE)
    m, v = seen.mean(axis=0), seen.var(axis=0) + floor
    mu, s = mean.astype(np.float64), variance.astype(np.float64) + floor
    divergence = (v / s + s / v + (m - mu) ** 2 * (1 / v + 1 / s)) / 2 - 1
    return float(np.median(divergence))


def _read_statistics(backbone: Backbone) -> "Stored | None":
    """Finds the first normalisation of which somebody set the statistics."""
    from embed.backbones.layer_statistics import is_read_by_layers
    from embed.backbones.layer_statistics import read_layers

    if is_read_by_layers(backbone.model):
        found = read_layers(backbone.model)
    else:
        found = _read_graph(backbone)
    for activations, mean, variance in found:
        is_unset = np.abs(mean).max() == 0
        if not is_unset or np.abs(variance - 1).max() >= IS_FRESH:
            return activations, mean, variance
    return None


def _read_graph(backbone: Backbone) -> "Iterator[Stored]":
    """Yields what each normalisation stored, where there are no layers.

    All weights are copied for it, more than once.
    """
    import tensorflow as tf

    from embed.engines.engine import freeze_function
    from embed.engines.folding import CONTROL_FLOW

    frozen = freeze_function(
        lambda images: backbone.model(images, training=False),
        backbone.model,
        (NUM_PHOTOS, *backbone.image_size, NUM_CHANNELS),
    )
    name = frozen.inputs[0].name
    if CONTROL_FLOW & {op.type for op in frozen.graph.get_operations()}:
        return
    graph_def = frozen.graph.as_graph_def()
    for node in graph_def.node:
        # Nothing that is left has state: order is by data alone.
        data = [tensor for tensor in node.input if tensor[0] != "^"]
        del node.input[:]
        node.input.extend(data)
    whole = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph_def, name=""), []
    )
    images = whole.graph.get_tensor_by_name(name)
    for tensors in _find_normalisations(whole.graph, images):
        activations, *stored = tensors
        num_channels = activations.shape[-1]
        values = whole.prune([], stored)()
        mean, variance = (np.asarray(value).reshape(-1) for value in values)
        if mean.shape == variance.shape == (num_channels,):
            function = whole.prune([images], activations)
            yield functools.partial(_run, function), mean, variance


def _run(function: Any, images: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    return np.asarray(function(tf.constant(images)))


def _find_normalisations(
    graph: "tf.Graph", images: "tf.Tensor"
) -> Iterator[tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]]:
    """Yields activations, mean and variance of each normalisation.

    Three graphs: TensorFlow's own operation; Keras's BatchNorm, `x * i + (b -
    mean * i)` with `i = rsqrt(variance + e) * g`; and Keras's Normalization,
    `(x - mean) / max(sqrt(variance), e)`.
    """
    operations = graph.get_operations()
    seen = {images.op.name}  # What depends on the images.
    for op in operations:
        if any(tensor.op.name in seen for tensor in op.inputs):
            seen.add(op.name)

    def is_stored(tensor: "tf.Tensor") -> bool:
        return tensor.op.name not in seen

    for op in operations:
        inputs = list(op.inputs)
        if op.type == "FusedBatchNormV3":
            is_frozen = not op.get_attr("is_training")
            is_last = op.get_attr("data_format") == b"NHWC"
            if is_frozen and is_last and not is_stored(inputs[0]):
                yield inputs[0], inputs[3], inputs[4]
        elif op.type == "Rsqrt" and is_stored(inputs[0]):
            yield from _match_batch_norm(op, is_stored)
        elif op.type == "Sqrt" and is_stored(inputs[0]):
            yield from _match_scaling(op, is_stored)


def _match_batch_norm(
    op: Any, is_stored: Any
) -> Iterator[tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]]:
    factors = [op.outputs[0]]
    factors += [
        user.outputs[0]
        for user in op.outputs[0].consumers()
        if user.type == "Mul" and is_stored(user.outputs[0])
    ]
    for factor in factors:
        others = [
            other
            for user in factor.consumers()
            if user.type == "Mul"
            for other in user.inputs
            if other is not factor
        ]
        images = [other for other in others if not is_stored(other)]
        means = [other for other in others if is_stored(other)]
        if len(images) == len(means) == 1:
            yield images[0], means[0], op.inputs[0]


def _match_scaling(
    op: Any, is_stored: Any
) -> Iterator[tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]]:
    factors = [op.outputs[0]]
    factors += [
        user.outputs[0]
        for user in op.outputs[0].consumers()
        if user.type == "Maximum"
    ]
    for factor in factors:
        for user in factor.consumers():
            difference = user.inputs[0].op
            if user.type == "RealDiv" and difference.type == "Sub":
                activations, mean = difference.inputs
                if is_stored(mean) and not is_stored(activations):
                    yield activations, mean, op.inputs[0]
