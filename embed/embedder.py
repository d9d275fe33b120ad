"""The one pass: encoded images to pixels to views to blocks of features.

Threads decode the next images while the engine runs on the current batch.
Each image is read and decoded once, whatever the number of views.
"""

import collections
import dataclasses
import io
import itertools
import threading
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from embed.backbones import Backbone
from embed.blocks import Block
from embed.blocks import BlockKey
from embed.devices import num_cpu_threads
from embed.engines import Engine
from embed.errors import BackboneError
from embed.errors import EngineError
from embed.images import ImageDecodeError
from embed.images import ImageDecoder
from embed.images import digest_content
from embed.sources import Source
from embed.views import VIEWS

BATCHES_AHEAD = 2  # Decoded and waiting, so that the engine never does.
FLOAT32_TOLERANCE = 1e-4  # Of the largest feature; engines differ by 4e-5.
# Of the features' root mean square. 8 bits of mantissa in each of 50 layers
# move single features by a quarter of the largest; as a whole, trained
# features move by 0.09 on photos and 0.14 on digits, random ones by 0.25.
BFLOAT16_TOLERANCE = 0.35
MIN_SCALE = 1e-6  # Fresh BatchNorm statistics give features below 1e-11.
EXIF_ORIENTATION = 0x0112
EXIF_UPRIGHT = 1


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """One picture of a source, ready for the backbone.

    Args:
        pixels: float32 `(height, width, 3)` in [0, 1], zero when bad.
        content_digest: SHA-256 of the encoded bytes.
        is_oriented: Whether it carries an EXIF orientation.
        error: Why it cannot be decoded, or `""`.
    """

    pixels: np.ndarray
    content_digest: bytes
    is_oriented: bool
    error: str


class Embedder:
    """Computes blocks of features; counts what it does and how long it takes.

    Args:
        source: Where encoded images come from.
        engine: What runs the backbone.
        image_size: `(height, width)` in pixels.
        views: Names of the views, in the order they are stored.
        dtype: What features are stored in.
    """

    def __init__(
        self,
        *,
        source: Source,
        engine: Engine,
        image_size: tuple[int, int],
        views: Sequence[str],
        dtype: str,
    ) -> None:
        self._source = source
        self._engine = engine
        self._image_size = image_size
        self._views = tuple(views)
        self._dtype = np.dtype(dtype)
        self._decode = ImageDecoder(image_size)
        self._lock = threading.Lock()
        self.num_decoded = 0
        self.num_computed = 0
        self.seconds = {"wait_for_images": 0.0, "forward": 0.0}

    def compute(
        self,
        keys: Sequence[BlockKey],
        on_views: Callable[[int], None] = lambda num_views: None,
        on_first_images: Callable[[np.ndarray], None] = lambda images: None,
    ) -> Iterator[tuple[BlockKey, Block]]:
        """Yields each block as soon as it is whole.

        Args:
            keys: Which blocks, in order.
            on_views: Called with the number of views of each batch.
            on_first_images: Called once, before anything is embedded, with
                the good images of the first batch
                `(num_images, height, width, 3)`.
        """
        num_ahead = BATCHES_AHEAD * self._engine.batch_size
        with ThreadPoolExecutor(num_cpu_threads()) as pool:
            images = _map_ahead(
                pool, self._decode_one, self._read(keys), num_ahead
            )
            first = list(itertools.islice(images, self._engine.batch_size))
            pixels = [image.pixels for image in first if not image.error]
            on_first_images(
                np.array(pixels, np.float32).reshape(-1, *self._image_size, 3)
            )
            images = itertools.chain(first, images)
            for key in keys:
                of_block = itertools.islice(images, len(key.rows))
                yield key, self._compute_block(of_block, on_views)

    def _read(self, keys: Sequence[BlockKey]) -> Iterator[bytes]:
        for key in keys:
            yield from self._source.read(key.split, list(key.rows))

    def _decode_one(self, encoded: bytes) -> DecodedImage:
        with self._lock:
            self.num_decoded += 1
        error = ""
        try:
            pixels = self._decode(encoded)
        except ImageDecodeError as problem:
            pixels = np.zeros((*self._image_size, 3), np.float32)
            error = str(problem)
        return DecodedImage(
            pixels=pixels,
            content_digest=digest_content(encoded),
            is_oriented=is_oriented(encoded),
            error=error,
        )

    def _compute_block(
        self,
        images: Iterator[DecodedImage],
        on_views: Callable[[int], None],
    ) -> Block:
        features = []
        rows: list[DecodedImage] = []
        while batch := self._next_batch(images):
            pixels = np.stack([image.pixels for image in batch])
            began = time.monotonic()
            of_views = [self._engine(VIEWS[v](pixels)) for v in self._views]
            self.seconds["forward"] += time.monotonic() - began
            features.append(np.stack(of_views, axis=1))
            rows += [dataclasses.replace(i, pixels=_NOTHING) for i in batch]
            self.num_computed += len(batch) * len(self._views)
            on_views(len(batch) * len(self._views))
        errors = np.array([row.error for row in rows])
        stacked = np.concatenate(features).astype(self._dtype)
        stacked[errors != ""] = 0
        digests = b"".join(row.content_digest for row in rows)
        return Block(
            features=stacked,
            content_digests=np.frombuffer(digests, np.uint8).reshape(
                len(rows), -1
            ),
            is_oriented=np.array([row.is_oriented for row in rows]),
            errors=errors,
        )

    def _next_batch(self, images: Iterator[DecodedImage]) -> list[DecodedImage]:
        began = time.monotonic()
        batch = list(itertools.islice(images, self._engine.batch_size))
        self.seconds["wait_for_images"] += time.monotonic() - began
        return batch


_NOTHING = np.empty(0, np.float32)  # Stands for pixels no longer needed.


def check_engine(
    engine: Engine, backbone: Backbone, images: np.ndarray, precision: str
) -> None:
    """Compares an engine with the reference backbone on some images.

    Args:
        engine: What will run the backbone.
        backbone: The reference.
        images: float32 `(num_images, height, width, 3)` in [0, 1].
        precision: Sets the tolerance.

    Raises:
        BackboneError: If the features have no variance.
        EngineError: If they differ by more than the tolerance.
    """
    expected = np.asarray(backbone.model(images, training=False))
    scale = float(np.abs(expected).max(initial=0.0))
    spread = float(expected.std(axis=0).max(initial=0.0))
    if len(images) > 1 and not spread > MIN_SCALE:
        raise BackboneError(
            f"The backbone {backbone.name} answers the same features for "
            f"every image. Expected: a standard deviation above {MIN_SCALE}. "
            f"Received: {spread:.1e}. Its weights are not trained, or do not "
            "fit: give others with `--weights`, or another `--backbone`."
        )
    error = engine(images) - expected
    if precision == "bfloat16":
        difference = float(np.sqrt(np.mean(error**2)))
        tolerance = BFLOAT16_TOLERANCE * float(np.sqrt(np.mean(expected**2)))
    else:
        difference = float(np.abs(error).max(initial=0.0))
        tolerance = FLOAT32_TOLERANCE * scale
    if not difference <= tolerance:
        raise EngineError(
            f"The engine {type(engine).__name__} does not compute what the "
            f"backbone {backbone.name} computes. Expected: a difference of at "
            f"most {tolerance:.1e}. Received: {difference:.1e}. Run again "
            "with `--engine tensorflow`."
        )


def is_oriented(encoded: bytes) -> bool:
    """Tells whether a picture carries an EXIF orientation but upright."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION, EXIF_UPRIGHT)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False
    except Image.DecompressionBombError:
        return False
    return bool(orientation != EXIF_UPRIGHT)


def _map_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[bytes], DecodedImage],
    items: Iterable[bytes],
    num_ahead: int,
) -> Iterator[DecodedImage]:
    """Maps in threads, in order, at most `num_ahead` items ahead."""
    pending: collections.deque[Future[DecodedImage]] = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > num_ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
