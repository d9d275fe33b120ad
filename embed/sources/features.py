"""Which features of a TFDS or Hugging Face dataset are image, label and id."""

from collections.abc import Collection
from collections.abc import Iterable

from embed.errors import SourceError

ID_FEATURES = ("file_name", "filename", "image_id", "id")  # The first unique.
USUAL = {"Image": "image", "ClassLabel": "label"}  # Name by type.


def choose_feature(
    dataset: str,
    kind: str,
    found: Collection[str],
    *,
    named: str | None = None,
) -> str:
    """Returns the name of the one feature of a type.

    Args:
        dataset: Name of the dataset, for errors.
        kind: `"Image"` or `"ClassLabel"`.
        found: Names of the features of that type.
        named: The one that was asked for; `None` for the one that has the
            usual name, or is alone.

    Raises:
        SourceError: If there is none, or one of several must be named.
    """
    if named is not None:
        if named in found:
            return named
        raise SourceError(
            f"The dataset {dataset} has no {kind} feature {named!r}. Expected: "
            f"one of {sorted(found)}. Name it with `--label-from`."
        )
    if USUAL[kind] in found:
        return USUAL[kind]
    if len(found) == 1:
        return next(iter(found))
    if found:
        advice = "Name one with `--label-from`."
        if kind == "Image":
            advice = "Choose another dataset with `--dataset`."
        raise SourceError(
            f"The dataset {dataset} has several {kind} features, of which none "
            f"is called {USUAL[kind]!r}. Expected: one. Received: "
            f"{sorted(found)}. {advice}"
        )
    raise SourceError(
        f"The dataset {dataset} is no image-classification set: it has no "
        f"{kind} feature. Expected: an Image and a ClassLabel feature. Choose "
        "another with `--dataset`."
    )


def choose_ids(candidates: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Returns the first of some columns in which no value is there twice.

    Args:
        candidates: Columns; the last is taken as it is.
    """
    ids: tuple[str, ...] = ()
    for column in candidates:
        ids = tuple(column)
        if len(set(ids)) == len(ids):
            break
    return ids
