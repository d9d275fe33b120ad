"""The way back from a cache: its pictures, and the backbone that saw them."""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from embed.backbones import Backbone
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.cache import FeatureCache
from embed.errors import BackboneError
from embed.errors import PipelineError
from embed.errors import SourceError
from embed.images import ImageDecoder
from embed.images import digest_content
from embed.sources import Picture
from embed.sources import open_source
from embed.views import find_view
from embed.views import frames_of


def load_backbone_of(cache: FeatureCache) -> Backbone:
    """Loads the backbone a cache was made with.

    Raises:
        BackboneError: If it cannot be had, or has other weights by now.
    """
    backbone = load_backbone(cache.provenance.backbone)
    if backbone.weights_digest != cache.spec.weights_digest:
        raise BackboneError(
            f"The backbone {cache.provenance.backbone.handle} has other "
            f"weights than when {cache.path} was built. Expected: "
            f"weights_digest={cache.spec.weights_digest}. Received: "
            f"{backbone.weights_digest}. Put the old weights back, or build "
            "the cache again with `python -m embed build-cache`."
        )
    return backbone


def load_backbones_of(cache: FeatureCache) -> SizedBackbones:
    """Loads the backbone a cache was made with, at the sizes of its views.

    Raises:
        BackboneError: If it cannot be had, or has other weights by now.
    """
    backbone = load_backbone_of(cache)
    return SizedBackbones(cache.provenance.backbone, backbone)


class Originals:
    """The encoded pictures of a cache, from where they lie now.

    The source is opened once, which for a large folder takes seconds.

    Args:
        cache: Knows its source.

    Raises:
        SourceError: If the source cannot be opened any more.
    """

    def __init__(self, cache: FeatureCache) -> None:
        self._cache = cache
        made_from = cache.provenance.source
        try:
            self._source = open_source(made_from)
        except PipelineError:
            raise
        except OSError as error:  # Of a share that is gone, or without rights.
            raise SourceError(
                f"The pictures of {made_from.dataset} cannot be read: {error}. "
                f"Expected: those that {cache.path} was built from. See to it "
                "that they can, and run the command again."
            ) from error
        self._known: dict[str, tuple[dict[str, int], dict[str, bytes]]] = {}

    def read(self, split: str, image_ids: Sequence[str]) -> Iterator[bytes]:
        """Yields encoded pictures.

        Args:
            split: `"train"` or `"test"`.
            image_ids: Which, in the order of the cache.

        Raises:
            SourceError: If a picture is not there any more, or has changed.
        """
        row_of, digests = self._index(split)
        missing = [image_id for image_id in image_ids if image_id not in row_of]
        if missing:
            raise SourceError(
                f"The dataset {self._source.name} has no {split} picture "
                f"{missing[0]!r} any more; {len(missing)} are missing. "
                f"Expected: the pictures that {self._cache.path} was built "
                "from. Put them back, or build the cache again with `python "
                "-m embed build-cache`."
            )
        rows = [row_of[image_id] for image_id in image_ids]
        pictures = self._source.read(split, rows)
        return _check_content(self._cache, pictures, image_ids, digests)

    def find_unchanged(
        self, split: str, rows: np.ndarray
    ) -> Iterator[tuple[int, bytes]]:
        """Yields those pictures that are what they were, with their rows.

        Args:
            split: `"train"` or `"test"`.
            rows: Row numbers in the cache.

        Raises:
            SourceError: If the source cannot be read.
        """
        row_of, digests = self._index(split)
        ids = self._cache.image_ids(split)
        there = [row for row in rows.tolist() if ids[row] in row_of]
        there.sort(key=lambda row: row_of[ids[row]])
        of_source = [row_of[ids[row]] for row in there]
        pictures = self._source.read(split, of_source)
        for row, picture in zip(there, pictures, strict=True):
            if digest_content(picture.encoded) == digests[ids[row]]:
                yield row, picture.encoded

    def _index(self, split: str) -> tuple[dict[str, int], dict[str, bytes]]:
        """Returns rows in the source and digests, both by id."""
        if split not in self._known:
            ids = self._source.splits[split].image_ids
            rows = {image_id: row for row, image_id in enumerate(ids)}
            self._known[split] = rows, _digests_by_id(self._cache, split)
        return self._known[split]


def read_pictures(
    cache: FeatureCache, split: str, image_ids: Sequence[str]
) -> Iterator[bytes]:
    """Yields encoded pictures of a cache, from where they lie now.

    Args:
        cache: Knows its source.
        split: `"train"` or `"test"`.
        image_ids: Which, in the order of the cache.

    Raises:
        SourceError: If the pictures are not there any more.
    """
    return Originals(cache).read(split, image_ids)


def decode_pictures(
    cache: FeatureCache, split: str, image_ids: Sequence[str]
) -> Iterator[np.ndarray]:
    """Yields the pixels of pictures of a cache, as it saw them.

    Args:
        cache: Knows its source and how it decodes.
        split: `"train"` or `"test"`.
        image_ids: Which, in the order of the cache.

    Yields:
        float32 `(height, width, 3)` in [0, 1].

    Raises:
        SourceError: If the pictures are not there any more.
    """
    return map(decoder_of(cache), read_pictures(cache, split, image_ids))


def decode_views(
    cache: FeatureCache, encoded: bytes, views: Sequence[str]
) -> list[np.ndarray]:
    """Returns the pixels of views of a picture, as a cache saw them.

    Args:
        cache: Knows its input size and how it decodes.
        encoded: What `read_pictures` yields.
        views: Names; all come from one decode.

    Returns:
        Of each view float32 `(height, width, 3)` in [0, 1].
    """
    size = cache.spec.image_size
    frames = frames_of(views, size)
    found = decoder_of(cache).decode(encoded, frames)
    pixels = dict(zip(frames, found, strict=True))
    wanted = map(find_view, views)
    return [view.turn(pixels[view.frame(size)]) for view in wanted]


def decoder_of(cache: FeatureCache) -> ImageDecoder:
    """Returns what turns pictures of a cache into the pixels it saw."""
    return ImageDecoder(cache.spec.image_size, cache.provenance.max_pixels)


def _digests_by_id(cache: FeatureCache, split: str) -> dict[str, bytes]:
    """Returns what `digest_content` said of each picture when it was seen."""
    digests = cache.content_digests(split)
    pairs = zip(cache.image_ids(split), digests, strict=True)
    return {image_id: digest.tobytes() for image_id, digest in pairs}


def _check_content(
    cache: FeatureCache,
    pictures: Iterator[Picture],
    image_ids: Sequence[str],
    digests: dict[str, bytes],
) -> Iterator[bytes]:
    """Yields pictures that are what they were when the cache was built.

    Raises:
        SourceError: Names the first that is not.
    """
    for image_id, picture in zip(image_ids, pictures, strict=True):
        if digest_content(picture.encoded) != digests[image_id]:
            raise SourceError(
                f"The picture {image_id} has changed since {cache.path} was "
                "built. Expected: the same bytes. Received: "
                f"{picture.problem or 'others'}. Build the cache again with "
                "`python -m embed build-cache`."
            )
        yield picture.encoded
