"""Refuses to compare caches that are not of the same pictures."""

from embed.cache import FeatureCache
from embed.errors import PipelineError
from embed.spec import describe_differences
from embed.upkeep.difference import compare_caches

# Of the spec, what says which problem the caches are of.
FIELDS = ("dataset", "dataset_version", "class_names")
WORDS = {
    "only_first": "only in the first",
    "only_second": "only in the second",
    "other_class": "of another class",
    "other_content": "of other content",
}


class IncomparableError(PipelineError, ValueError):
    """Two caches are not of the same pictures."""


def require_same_pictures(first: FeatureCache, other: FeatureCache) -> None:
    """Refuses two caches whose validation images would not be the same.

    Raises:
        IncomparableError: Names what differs.
    """
    held = first.spec.model_copy(
        update={name: getattr(other.spec, name) for name in FIELDS}
    )
    if held != first.spec:
        raise _error(first, other, describe_differences(first.spec, held))
    pictures = compare_caches(first, other).pictures["train"]
    found = [
        f"{number:,} {words}"
        for name, words in WORDS.items()
        if (number := getattr(pictures, name))
    ]
    if found:
        raise _error(
            first,
            other,
            "Expected: the same train pictures, in the same classes. Received: "
            f"{', '.join(found)}.",
        )


def _error(
    first: FeatureCache, other: FeatureCache, facts: str
) -> IncomparableError:
    return IncomparableError(
        f"The caches {first.path} and {other.path} cannot be compared. {facts} "
        "Build both of the same dataset with `python -m embed build-cache "
        "--dataset ...`, and give those."
    )
