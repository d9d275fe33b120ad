"""A handle (`keras:`, `hub:` and others) to a frozen model."""

from embed.backbones.backbone import Backbone
from embed.backbones.handle import KERAS
from embed.backbones.handle import KERAS_HUB
from embed.backbones.handle import MODEL
from embed.backbones.handle import RANGE
from embed.backbones.handle import SAVED_MODEL
from embed.backbones.handle import parse_handle
from embed.backbones.request import DEFAULT_WEIGHTS
from embed.backbones.request import BackboneRequest
from embed.backbones.scaling import parse_range
from embed.errors import BackboneError

__all__ = ["Backbone", "BackboneRequest", "load_backbone"]


def load_backbone(request: BackboneRequest) -> Backbone:
    """Loads the backbone that a user asked for.

    Raises:
        BackboneError: If it cannot be resolved, or its weights do not fit.
    """
    handle = parse_handle(request.handle)
    if RANGE in handle.options:  # Before anything is fetched or read.
        parse_range(handle.options[RANGE])
    if handle.kind == KERAS:
        from embed.backbones.applications import load_keras_backbone

        return load_keras_backbone(request, handle)
    if request.weights != DEFAULT_WEIGHTS:
        raise BackboneError(
            f"The backbone {request.handle} brings its own weights. "
            f"Received: weights={request.weights}. Leave out `--weights`, "
            "or name a `--backbone keras:NAME`."
        )
    if handle.kind == KERAS_HUB:
        from embed.backbones.kerashub import load_keras_hub_backbone

        return load_keras_hub_backbone(request, handle)
    if handle.kind == SAVED_MODEL:
        from embed.backbones.savedmodel import load_saved_model_backbone

        return load_saved_model_backbone(request, handle)
    if handle.kind == MODEL:
        from embed.backbones.model_file import load_model_backbone

        return load_model_backbone(request, handle)
    if request.cut is not None:
        raise BackboneError(
            f"The module {request.handle} cannot be cut: its layers are not "
            f"known. Received: cut={request.cut!r}. Leave out `--cut`, or "
            "give it as `--backbone savedmodel:DIR`, whose outputs have names."
        )
    from embed.backbones.hub import load_hub_backbone

    return load_hub_backbone(
        handle.place,
        request.image_size,
        kind=handle.kind,
        options=handle.options,
    )
