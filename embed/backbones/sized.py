"""One backbone at several input sizes, for views that have one of their own."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from embed.backbones import Backbone
from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.handle import KERAS
from embed.backbones.handle import parse_handle
from embed.backbones.request import DEFAULT_WEIGHTS
from embed.errors import BackboneError
from embed.views import ViewError
from embed.views import find_view


class SizedBackbones:
    """A backbone at any input size that it takes, loaded when asked for.

    Args:
        request: What it was loaded by.
        backbone: The backbone, at the input size of the request.
    """

    def __init__(self, request: BackboneRequest, backbone: Backbone) -> None:
        self.request, self.backbone = request, backbone
        self._of_size = {backbone.image_size: backbone}

    def at(self, image_size: tuple[int, int]) -> Backbone:
        """Returns the backbone at an input size, with the same weights.

        Args:
            image_size: `(height, width)` in pixels.

        Raises:
            BackboneError: If it does not take images of that size.
        """
        if image_size not in self._of_size:
            self._of_size[image_size] = self._load(image_size)
        return self._of_size[image_size]

    def require(self, views: Iterable[str]) -> None:
        """Loads what some views need.

        Raises:
            BackboneError: If the backbone does not take a view's size.
            ViewError: If a view has the input size of the cache: it would be
                another view once more.
        """
        own = self.backbone.image_size
        for name in views:
            view = find_view(name)
            if view.side is not None and view.frame(own).size == own:
                raise ViewError(
                    f"The view {name} is plain or flip once more: {view.side} "
                    "pixels are the input size. Expected: another size. Leave "
                    f"out {name}, or run again with another `--image-size`."
                )
            self.at(view.frame(own).size)

    def _load(self, image_size: tuple[int, int]) -> Backbone:
        wanted = self.backbone
        request = self.request.model_copy(update={"image_size": image_size})
        try:
            sized = _build_bare(request, wanted) or load_backbone(request)
        except BackboneError as error:
            raise self._refuse(image_size, str(error)) from error
        if sized.feature_dim != wanted.feature_dim:
            raise self._refuse(
                image_size,
                f"{sized.feature_dim} features instead of {wanted.feature_dim}",
            )
        if sized.weights_digest != wanted.weights_digest:
            # Also random ones: their BatchNorm statistics depend on the size.
            values = wanted.model.get_weights()
            own = sized.model.get_weights()
            if [np.shape(v) for v in own] != [np.shape(v) for v in values]:
                raise self._refuse(image_size, "weights of other shapes")
            sized.model.set_weights(values)
        return dataclasses.replace(wanted, model=sized.model)

    def _refuse(
        self, image_size: tuple[int, int], received: str
    ) -> BackboneError:
        height, width = self.backbone.image_size
        side = image_size[0]
        return BackboneError(
            f"The backbone {self.backbone.name} cannot be had for images of "
            f"{side} x {side} pixels, as the view scale{side} has them. "
            f"Expected: {height} x {width}, or another size that it takes. "
            f"Received: {' '.join(received.split()).rstrip('.')}. Leave out "
            f"scale{side}, or name another `--backbone`."
        )


def _build_bare(request: BackboneRequest, like: Backbone) -> Backbone | None:
    """Builds a network that ImageNet's weights were fetched for, without them.

    Keras would fetch others for some sizes of MobileNet and MobileNetV2, and
    lets NASNet have them at one size alone.

    Args:
        request: What to build, at another size.
        like: The network with its weights.

    Returns:
        The network, to be given the weights of the other. `None` where weights
        are not ImageNet's, or where Keras builds another network for them, as
        it does of EfficientNet: they are of one file for all sizes then.
    """
    handle = parse_handle(request.handle)
    if handle.kind != KERAS or request.weights != DEFAULT_WEIGHTS:
        return None
    from embed.backbones.applications import load_keras_backbone

    bare = load_keras_backbone(request, handle, is_bare=True)
    return bare if _list_layers(bare) == _list_layers(like) else None


def _list_layers(backbone: Backbone) -> list[type]:
    return [type(layer) for layer in backbone.model._flatten_layers()]
