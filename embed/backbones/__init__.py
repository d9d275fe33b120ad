"""A handle (`hub:`, `keras:`) to a frozen model."""

from embed.backbones.backbone import Backbone
from embed.backbones.request import DEFAULT_WEIGHTS
from embed.backbones.request import BackboneRequest
from embed.errors import BackboneError

__all__ = ["Backbone", "BackboneRequest", "load_backbone"]


def load_backbone(request: BackboneRequest) -> Backbone:
    """Loads the backbone that a user asked for.

    Raises:
        BackboneError: If it cannot be resolved, or its weights do not fit.
    """
    kind, _, name = request.handle.partition(":")
    if kind == "hub" and name:
        if request.weights != DEFAULT_WEIGHTS:
            raise BackboneError(
                f"The module {request.handle} brings its own weights. "
                f"Received: weights={request.weights}. Leave out `--weights`, "
                "or name a `--backbone keras:NAME`."
            )
        from embed.backbones.hub import load_hub_backbone

        return load_hub_backbone(name, request.image_size)
    if kind == "keras" and name:
        from embed.backbones.applications import load_keras_backbone

        return load_keras_backbone(request)
    raise BackboneError(
        "The backbone is of no known kind. Expected: `hub:ADDRESS`, `hub:DIR` "
        "(a SavedModel) or `keras:NAME[?alpha=1.4]`. Received: "
        f"{request.handle!r}. Give one with `--backbone`."
    )
