"""What two caches differ in: the fields of their specs, and their pictures."""

import dataclasses
from typing import Any

from embed.cache import FeatureCache
from embed.spec import leaf_differences


@dataclasses.dataclass(frozen=True)
class PictureDifference:
    """How the pictures of a split differ, by number.

    Args:
        only_first: Ids that the second cache has not.
        only_second: Ids that the first cache has not.
        other_content: Ids of both, of pictures that hold something else.
        other_class: Ids of both, under another class name.
    """

    only_first: int
    only_second: int
    other_content: int
    other_class: int


@dataclasses.dataclass(frozen=True)
class CacheDifference:
    """What two caches differ in.

    Args:
        first: Path of the first.
        second: Path of the second.
        fields: Both values by field of the spec.
        pictures: By split.
    """

    first: str
    second: str
    fields: dict[str, tuple[object, object]]
    pictures: dict[str, PictureDifference]

    @property
    def are_equal(self) -> bool:
        """Whether they hold the same rows."""
        return not self.fields and not any(
            any(dataclasses.astuple(p)) for p in self.pictures.values()
        )

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "first": self.first,
            "second": self.second,
            "equal": self.are_equal,
            "fields": {
                name: {"first": a, "second": b}
                for name, (a, b) in self.fields.items()
            },
            "pictures": {
                split: dataclasses.asdict(pictures)
                for split, pictures in self.pictures.items()
            },
        }

    def to_text(self) -> str:
        """Returns the differences as lines for people."""
        if self.are_equal:
            return "The caches hold the same rows."
        lines = []
        for name, (a, b) in self.fields.items():
            lines += [name, f"  first   {a}", f"  second  {b}"]
        for split, found in self.pictures.items():
            counts = {
                "only in the first": found.only_first,
                "only in the second": found.only_second,
                "of other content": found.other_content,
                "of another class": found.other_class,
            }
            named = [f"{n:,} {words}" for words, n in counts.items() if n]
            if named:
                lines.append(f"{split} pictures: {', '.join(named)}")
        return "\n".join(lines)


def compare_caches(
    first: FeatureCache, second: FeatureCache
) -> CacheDifference:
    """Finds out in what two caches differ, without reading their features."""
    splits = sorted({*first.num_images, *second.num_images})
    return CacheDifference(
        first=str(first.path),
        second=str(second.path),
        fields={
            name: (a, b)
            for name, a, b in leaf_differences(first.spec, second.spec)
        },
        pictures={
            split: _compare_pictures(
                _facts_by_id(first, split), _facts_by_id(second, split)
            )
            for split in splits
        },
    )


def _facts_by_id(
    cache: FeatureCache, split: str
) -> dict[str, tuple[bytes, str]]:
    """Returns content digest and class name by id, `""` without labels."""
    if split not in cache.num_images:
        return {}
    index = cache.index(split)
    names = cache.spec.class_names
    return {
        image_id: (digest.tobytes(), names[label] if names else "")
        for image_id, digest, label in zip(
            index.image_ids,
            index.content_digests,
            index.labels.tolist(),
            strict=True,
        )
    }


def _compare_pictures(
    first: dict[str, tuple[bytes, str]], second: dict[str, tuple[bytes, str]]
) -> PictureDifference:
    both = first.keys() & second.keys()
    return PictureDifference(
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
        other_content=sum(first[i][0] != second[i][0] for i in both),
        other_class=sum(first[i][1] != second[i][1] for i in both),
    )
