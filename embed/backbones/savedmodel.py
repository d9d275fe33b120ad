"""Any SavedModel of images to features, called as it was made to be called.

One that can be called as TF-Hub's modules can is; of any other, such as what
`keras.Model.export` writes, a serving signature is called.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from embed.backbones.backbone import Backbone
from embed.backbones.handle import LOCAL
from embed.backbones.handle import SAVED_MODEL
from embed.backbones.handle import Handle
from embed.backbones.hub import wrap_module
from embed.backbones.known import DEFAULT_SIZE
from embed.backbones.module import RANK
from embed.backbones.module import digest_directory
from embed.backbones.module import find_fixed_size
from embed.backbones.module import load_saved_model
from embed.backbones.request import BackboneRequest
from embed.backbones.scaling import NUM_CHANNELS
from embed.errors import BackboneError

SERVING = ("serving_default", "serve")  # The first that is there.

# float32 images to features, to a map of them, or to several by name.
Call = Callable[[tf.Tensor], Any]
CALL = "__call__"


@dataclasses.dataclass(frozen=True)
class Way:
    """One way in which a SavedModel may be made to be called.

    Args:
        name: What it is, for people.
        call: What answers.
        own_size: `(height, width)` of the images, in pixels, if fixed.
    """

    name: str
    call: Call
    own_size: tuple[int, int] | None


class AnsweringModule(tf.__internal__.tracking.AutoTrackable):
    """What of a SavedModel answers features, as a module of TF-Hub does.

    Args:
        loaded: What `tf.saved_model.load` returned; it keeps the variables.
        call: What is called of it.
        output: Name of its output, `""` where there is only one.
        is_pooled: Whether the mean of each map is taken.
    """

    def __init__(
        self, loaded: Any, call: Call, output: str, *, is_pooled: bool
    ) -> None:
        self.loaded = loaded
        self._call, self._output = call, output
        self._is_pooled = is_pooled
        self.variables = list(getattr(loaded, "variables", ()))
        self.trainable_variables: list[tf.Variable] = []

    @tf.function
    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the features of a batch of images."""
        answer = self._call(images)
        features = answer[self._output] if self._output else answer
        if self._is_pooled:
            features = tf.reduce_mean(features, axis=(1, 2))
        return features


def load_saved_model_backbone(
    request: BackboneRequest, handle: Handle
) -> Backbone:
    """Loads a SavedModel from a folder.

    Args:
        request: Its `cut` names one of several outputs.
        handle: `savedmodel:DIR[?range=LOW,HIGH]`.

    Raises:
        BackboneError: If it cannot be loaded, or answers no features.
    """
    if not handle.path.is_dir():
        raise BackboneError(
            f"There is no directory {handle.place}. Expected: a SavedModel. "
            "Give one with `--backbone savedmodel:DIR`."
        )
    advice = "Give a whole one with `--backbone savedmodel:DIR`."
    loaded = load_saved_model(handle.path, advice)
    way, answer, image_size = _find_call(loaded, request, handle)
    output = _choose_output(answer, request, handle)
    features = answer[output] if output else answer
    shape = getattr(features, "shape", tf.TensorShape(None))
    if shape.rank not in (2, RANK) or features.dtype != tf.float32:
        raise BackboneError(
            f"The SavedModel {handle.place} does not answer features. "
            "Expected: float32 (batch, feature_dim) or (batch, height, width, "
            f"feature_dim). Received: {features}. Give another with "
            "`--backbone`, or another of its outputs with `--cut`."
        )
    remarks = []
    if callable(loaded) and way.name != CALL:
        remarks.append(f"Its {way.name} is called: `{CALL}` takes no images.")
    if output:
        remarks.append(f"The output {output!r} of the SavedModel is taken.")
    if shape.rank == RANK:
        maps = tuple(shape[1:])
        remarks.append(f"The mean of its maps {maps} is taken.")
    module = AnsweringModule(
        loaded, way.call, output, is_pooled=shape.rank == RANK
    )
    images = tf.TensorSpec((None, *image_size, NUM_CHANNELS), tf.float32)
    module.__call__.get_concrete_function(images, training=False)
    return wrap_module(
        module,
        int(shape[-1]),
        image_size,
        name=f"{SAVED_MODEL}:{LOCAL}",
        digest=digest_directory(handle.path),
        options=handle.options | ({"cut": output} if output else {}),
        remarks=tuple(remarks),
    )


def _find_call(
    loaded: Any, request: BackboneRequest, handle: Handle
) -> tuple[Way, Any, tuple[int, int]]:
    """Returns what answers images, its answer, and the size of the images."""
    failures: list[tuple[tuple[int, int], Exception]] = []
    for way in _list_ways(loaded):
        image_size = request.image_size or way.own_size or DEFAULT_SIZE
        try:
            answer = way.call(tf.zeros((1, *image_size, NUM_CHANNELS)))
        except Exception as error:  # A foreign graph raises anything.
            failures.append((image_size, error))
        else:
            return way, answer, image_size
    if failures:
        image_size, failure = failures[-1]
        raise BackboneError(
            f"The SavedModel {handle.place} does not take images of "
            f"{image_size}. Expected: float32 (batch, height, width, 3). "
            f"Received: {type(failure).__name__}: {failure}. Try another "
            "`--image-size`, or give another with `--backbone`."
        ) from failure
    received = {
        name: {
            argument: f"{spec.dtype.name} {spec.shape}"
            for argument, spec in serve.structured_input_signature[1].items()
        }
        for name, serve in getattr(loaded, "signatures", {}).items()
    }
    raise BackboneError(
        f"The SavedModel {handle.place} does not take images. Expected: "
        "`__call__(images)`, with or without `training`, or a signature "
        "`serving_default` of one input, float32 (batch, height, width, 3). "
        f"Received: signatures {received}. Give another with `--backbone`."
    )


def _list_ways(loaded: Any) -> Iterator[Way]:
    """Yields how a SavedModel may be called, what says most first."""
    if callable(loaded):
        size = find_fixed_size(loaded)
        yield Way(CALL, lambda images: loaded(images, training=False), size)
        yield Way(CALL, lambda images: loaded(images), size)
    signatures = getattr(loaded, "signatures", {})
    names = [name for name in SERVING if name in signatures]
    names += sorted(signatures) if len(signatures) == 1 and not names else []
    for name in names:
        serve = signatures[name]
        _, taken = serve.structured_input_signature
        if len(taken) == 1:
            ((argument, spec),) = taken.items()
            if spec.shape.rank == RANK and spec.dtype == tf.float32:
                _, height, width, _ = spec.shape
                is_fixed = height is not None and width is not None
                size = (height, width) if is_fixed else None
                call = _call_by_name(serve, argument)
                yield Way(f"signature `{name}`", call, size)


def _call_by_name(serve: Callable[..., Any], argument: str) -> Call:
    return lambda images: serve(**{argument: images})


def _choose_output(
    answer: Any, request: BackboneRequest, handle: Handle
) -> str:
    """Returns the name of the output to take, `""` of a bare tensor."""
    if not isinstance(answer, dict):
        if request.cut is not None:
            raise BackboneError(
                f"The SavedModel {handle.place} answers one tensor without a "
                f"name. Received: cut={request.cut!r}. Leave out `--cut`."
            )
        return ""
    if request.cut is None and len(answer) == 1:
        return str(next(iter(answer)))
    if request.cut is None or request.cut not in answer:
        shapes = {name: str(one.shape) for name, one in sorted(answer.items())}
        raise BackboneError(
            f"The SavedModel {handle.place} has several outputs, or none of "
            f"that name. Expected: one of {shapes}. Received: "
            f"cut={request.cut!r}. Give one with `--cut NAME`."
        )
    return request.cut
