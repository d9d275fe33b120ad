"""What identifies a feature cache, and the fingerprint made from it.

A `CacheSpec` holds everything that can change a feature vector and nothing
else: batch size, engine, block size and the folder a picture lies in are not
in it. Two builds with equal specs have equal rows.
"""

import hashlib
import itertools
import json
import operator
from collections.abc import Iterable
from collections.abc import Iterator

import numpy as np
import pydantic

SCHEMA = 2  # Increment when the file layout, or a field's meaning, changes.
MAX_SHOWN = 80  # Characters of a value in an error: class names are long.
# Fields that a head made on one cache lets differ in another: it is given the
# plain view, which is the first of any.
FREE_FIELDS = (
    *("dataset", "dataset_version", "class_names", "splits", "views"),
    "dtype",
)
FINGERPRINT_DIGITS = 16  # 64 bits: enough to name files, not to resist attack.


class SplitSpec(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The rows of one split, by number and by digest.

    Args:
        num_images: Number of rows.
        digest: SHA-256 over ids and labels in row order.
    """

    num_images: int
    digest: str


class CacheSpec(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Everything that can change a feature vector, and nothing else.

    Args:
        dataset: Name of the source, e.g. `"tfds:oxford_iiit_pet"`; of a
            folder its kind alone, so that moving it changes nothing.
        dataset_version: Version of the source, `""` where it has none.
        class_names: Names by class index; none where there are no labels.
        splits: Rows by split, `train` and `test`; of pictures without labels
            `unlabelled` alone.
        backbone: Handle of the backbone, e.g. `"keras:MobileNetV2"`.
        weights_digest: SHA-256 of the backbone's weights.
        image_size: `(height, width)` in pixels, as the backbone receives them.
        pixel_range: Smallest and largest pixel value the backbone is given.
        resize: Resize method.
        views: Names of the views, the plain one first.
        precision: What the backbone computes in.
        dtype: What the features are stored in.
        schema_version: Layout of the file.
    """

    dataset: str
    dataset_version: str
    class_names: tuple[str, ...]
    splits: dict[str, SplitSpec]
    backbone: str
    weights_digest: str
    image_size: tuple[int, int]
    pixel_range: tuple[float, float] = (0.0, 1.0)
    resize: str = "bilinear"
    views: tuple[str, ...]
    precision: str = "float32"
    dtype: str = "float32"
    schema_version: int = SCHEMA

    @property
    def is_labelled(self) -> bool:
        """Whether pictures have classes, and there are `train` and `test`."""
        return bool(self.class_names)

    def to_json(self) -> str:
        """Returns the canonical text: keys sorted, defaults written out."""
        fields = self.model_dump(mode="json")
        return json.dumps(
            fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )

    def fingerprint(self) -> str:
        """Returns the hexadecimal digits that stand for this spec."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return digest[:FINGERPRINT_DIGITS]


def digest_rows(image_ids: Iterable[str], labels: Iterable[int]) -> str:
    """Returns the SHA-256 of ids and labels in row order."""
    digest = hashlib.sha256()
    for image_id, label in zip(image_ids, labels, strict=True):
        digest.update(f"{image_id}\0{int(label)}\n".encode())
    return digest.hexdigest()


def digest_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of arrays: dtype, shape and values of each."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def differences(
    expected: CacheSpec, received: CacheSpec
) -> dict[str, tuple[object, object]]:
    """Returns the fields in which two specs differ, with both values."""
    left = expected.model_dump(mode="json")
    right = received.model_dump(mode="json")
    return {
        name: (left[name], right[name])
        for name in left
        if left[name] != right[name]
    }


def leaf_differences(
    expected: CacheSpec, received: CacheSpec
) -> Iterator[tuple[str, object, object]]:
    """Yields each innermost field in which two specs differ, and both values.

    E.g. `("splits.train.num_images", 80, 81)`.
    """
    for name, (wanted, found) in differences(expected, received).items():
        yield from _leaves(name, wanted, found)


def describe_differences(expected: CacheSpec, received: CacheSpec) -> str:
    """Returns `Expected: ... Received: ...`, naming each field that differs."""
    left, right = [], []
    for field, a, b in leaf_differences(expected, received):
        left.append(f"{field}={_shorten(a, b)}")
        right.append(f"{field}={_shorten(b, a)}")
    return f"Expected: {', '.join(left)}. Received: {', '.join(right)}."


def is_served_by(wanted: CacheSpec, held: CacheSpec) -> bool:
    """Tells whether a cache of spec `held` holds every vector of `wanted`.

    More views than asked for serve; any other difference does not.
    """
    if not set(wanted.views) <= set(held.views):
        return False
    return wanted.model_copy(update={"views": held.views}) == held


def is_kin(spec: CacheSpec, other: CacheSpec) -> bool:
    """Tells whether two caches hold equal vectors of equal pictures.

    Pictures, labels and class names may differ, and views in part; one has
    labels if the other has.
    """
    if not set(spec.views) & set(other.views):
        return False
    if spec.splits.keys() != other.splits.keys():
        return False
    return spec == other.model_copy(
        update={
            name: getattr(spec, name)
            for name in ("class_names", "splits", "views")
        }
    )


def move_to_pictures_of(spec: CacheSpec, other: CacheSpec) -> CacheSpec:
    """Returns a spec with the pictures of another one, and its views.

    What is left to differ is what a head cannot bear: it answers for all
    features of the backbone that it was trained on, of whatever pictures.
    """
    return spec.model_copy(
        update={name: getattr(other, name) for name in FREE_FIELDS}
    )


def _leaves(
    name: str, wanted: object, found: object
) -> Iterator[tuple[str, object, object]]:
    """Yields the innermost fields in which two values differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                yield from _leaves(
                    f"{name}.{key}", wanted.get(key), found.get(key)
                )
    else:
        yield name, wanted, found


def _shorten(value: object, other: object) -> str:
    """Returns a value, of a long one the part that differs from the other."""
    text = str(value)
    if len(text) <= MAX_SHOWN:
        return text
    are_equal = map(operator.eq, text, str(other))
    num_equal = sum(itertools.takewhile(bool, are_equal))
    start = max(0, num_equal - MAX_SHOWN // 2)
    stop = start + MAX_SHOWN
    before, after = "..." * (start > 0), "..." * (stop < len(text))
    return f"{before}{text[start:stop]}{after}"
