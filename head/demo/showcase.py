"""What the page shows: answers, the pictures behind them, and some to try."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.cache import FeatureCache
from embed.console import Console
from embed.decoding.formats import detect_decoded
from embed.devices import prepare_devices
from embed.errors import PipelineError
from embed.images import DEFAULT_MAX_PIXELS
from embed.origin import Originals
from embed.origin import decoder_of
from embed.reading import PictureFile
from head.class_names import spell
from head.predicting.exported import ExportedModel
from head.predicting.neighbours import SPLIT
from head.predicting.neighbours import Neighbour
from head.predicting.neighbours import TrainingPictures
from head.predicting.predict import Predictor
from head.predicting.prediction import Prediction

# What every browser draws, of what TensorFlow decodes.
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WebP": ".webp"}
EXAMPLE_SPLIT = "test"  # The model has not seen them.
NUM_EXAMPLES = 8


class Showcase:
    """A model that answers picture after picture, and shows why.

    Args:
        model: What answers.
        cache: Where similar training pictures are looked up; `None` for none.
        num_neighbours: How many.
        max_pixels: Of the largest picture that is decoded.
        memory_limit: Bytes that features may take.
        console: Receives remarks.

    Raises:
        MissingArtifactError: If the model cannot be read.
        StaleCacheError: If the cache is of another backbone.
    """

    def __init__(
        self,
        model: ExportedModel,
        cache: FeatureCache | None = None,
        *,
        num_neighbours: int = 0,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory_limit: int | None = None,
        console: Console | None = None,
    ) -> None:
        console = console or Console(is_quiet=True)
        prepare_devices()  # Before a source brings TensorFlow in.
        self.model, self.num_neighbours = model, num_neighbours
        self._cache, self._originals = cache, None
        self._training: TrainingPictures | None = None
        if cache is not None:
            self._originals = _open_originals(cache, console)
            if num_neighbours:
                self._training = TrainingPictures(
                    cache, memory_limit=memory_limit
                )
        self._predictor = Predictor(
            model,
            training=self._training,
            num_neighbours=num_neighbours,
            max_pixels=max_pixels,
            console=console,
        )

    @property
    def has_pictures(self) -> bool:
        """Whether the pictures of the cache are still where they were."""
        return self._originals is not None

    @property
    def kind_of_neighbours(self) -> str:
        """What similar pictures are called."""
        split = self._training.split if self._training is not None else ""
        return "training pictures" if split == SPLIT else "pictures"

    def answer(self, path: str) -> Prediction:
        """Returns what the model says of a picture file."""
        (prediction,) = self._predictor.run([PictureFile(path)])
        return prediction

    def to_confidences(self, prediction: Prediction) -> dict[str, float]:
        """Returns probabilities by class name, of a picture with an answer."""
        if prediction.probabilities is None:
            return {}
        names = map(spell, self.model.class_names)
        return dict(zip(names, prediction.probabilities.tolist(), strict=True))

    def find_pictures(
        self, neighbours: Sequence[Neighbour]
    ) -> list[tuple[np.ndarray, str]]:
        """Returns similar training pictures with a caption each.

        Args:
            neighbours: The most similar one first.

        Returns:
            Pixels as the cache saw them, uint8 `(height, width, 3)`, and what
            they show; nothing where the pictures are gone.

        Raises:
            SourceError: If one has changed, or is gone since the start.
        """
        cache, originals, training = (
            self._cache,
            self._originals,
            self._training,
        )
        if cache is None or originals is None or training is None:
            return []
        ids = cache.image_ids(training.split)
        wanted = {neighbour.image_id for neighbour in neighbours}
        # The source reads rows in their order, the gallery by similarity.
        in_order = [image_id for image_id in ids if image_id in wanted]
        encoded = originals.read(training.split, in_order)
        decode = decoder_of(cache)
        pixels = {
            image_id: np.round(255 * decode(picture)).astype(np.uint8)
            for image_id, picture in zip(in_order, encoded, strict=True)
        }
        return [(pixels[one.image_id], _caption(one)) for one in neighbours]

    def write_examples(self, folder: Path) -> list[Path]:
        """Writes test pictures to try, each of another class if there are.

        Args:
            folder: Where to.

        Returns:
            Their paths; fewer where browsers do not draw them.
        """
        if self._cache is None or self._originals is None:
            return []
        if EXAMPLE_SPLIT not in self._cache.num_images:
            return []
        index = self._cache.index(EXAMPLE_SPLIT)
        _, firsts = np.unique(index.labels, return_index=True)
        places = np.linspace(0, len(firsts) - 1, NUM_EXAMPLES).round()
        rows = np.sort(firsts[np.unique(places.astype(int))])
        ids = [index.image_ids[row] for row in rows]
        paths = []
        try:
            for number, encoded in enumerate(
                self._originals.read(EXAMPLE_SPLIT, ids)
            ):
                if suffix := SUFFIXES.get(detect_decoded(encoded)):
                    path = folder / f"example-{number}{suffix}"
                    path.write_bytes(encoded)
                    paths.append(path)
        except PipelineError:  # The page is as good without the rest.
            return paths
        return paths


def _caption(neighbour: Neighbour) -> str:
    """Says what a similar picture shows, if that is known, and how similar."""
    name = spell(neighbour.class_name)
    similarity = f"{neighbour.similarity:.2f}"
    return f"{name}, {similarity}" if name else similarity


def _open_originals(cache: FeatureCache, console: Console) -> Originals | None:
    """Opens the pictures of a cache, or says that they are gone."""
    try:
        return Originals(cache)
    except (PipelineError, OSError) as error:
        console.say(f"Similar pictures are named, not shown: {error}")
        return None
