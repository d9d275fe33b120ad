"""Stitch: backbone and head joined into one model, images to logits."""

from typing import TYPE_CHECKING

from embed.backbones import Backbone

if TYPE_CHECKING:
    import keras


def stitch(
    backbone: Backbone, head: "keras.Model", *, is_mirrored_too: bool = False
) -> "keras.Model":
    """Joins a frozen backbone and a trained head in memory.

    Args:
        backbone: Images in [0, 1] to features.
        head: Features to logits.
        is_mirrored_too: Whether the model averages the logits of each image
            and of its mirror.

    Returns:
        A model, float32 images `(batch, height, width, 3)` in [0, 1] to
        logits `(batch, num_classes)`.
    """
    import keras

    backbone.model.trainable = False
    images = keras.Input((*backbone.image_size, 3), name="images")
    logits = head(backbone.model(images))
    if is_mirrored_too:
        mirrored = keras.ops.flip(images, axis=2)
        logits = (logits + head(backbone.model(mirrored))) / 2.0
    return keras.Model(images, logits, name="full_model")


def summarize(model: "keras.Model") -> str:
    """Returns Keras's summary with its parameter counts."""
    lines: list[str] = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    return "\n".join(lines)
