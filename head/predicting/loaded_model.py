"""An exported model as it was loaded, for a few pictures."""

import numpy as np

from embed.backbones import Backbone
from embed.backbones.backbone import PIXELS_A_CALL


class LoadedModel:
    """Runs a model as it was loaded, a few pictures at a time.

    Args:
        model: What to run.
    """

    name = "tensorflow"
    num_streams = 1

    def __init__(self, model: Backbone) -> None:
        height, width = model.image_size
        self.batch_size = max(PIXELS_A_CALL // (height * width), 1)
        self._model = model

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the answers for any number of images."""
        return self._model.embed(images)
