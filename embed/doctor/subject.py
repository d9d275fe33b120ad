"""What a build would be of: the part of its request that the doctor needs."""

import dataclasses
import json
from pathlib import Path

CACHES = "caches"  # As in `embed.artifacts`, which imports what may be broken.


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a build would be of, in the words of the command line.

    Args:
        dataset: Handle of the source.
        data_dir: Where datasets are kept; `None` for the usual places.
        labels: List of the pictures of a folder with their labels.
        label_from: Where else labels come from.
        train_split: What the dataset calls its train split.
        test_split: What it calls its test split.
        backbone: Handle of the backbone.
        weights: Of a `keras:` backbone; `None` for the usual ones.
        cut: Layer whose output is the features.
        image_size: Height and width in pixels; `None` for the backbone's.
        views: What `--views` accepts.
        artifacts_dir: Folder of everything written.
        limit: Largest number of images a split; `None` for all.
        engine: What runs the backbone, or `auto`.
        precision: What it computes in.
        dtype: What features are stored in.
        cache_path: Where the cache goes; `None` for the usual place.
    """

    dataset: str
    backbone: str
    views: str
    artifacts_dir: Path
    weights: str | None = None
    image_size: int | None = None
    data_dir: str | None = None
    labels: str | None = None
    label_from: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    cut: str | None = None
    limit: int | None = None
    engine: str = "auto"
    precision: str = "float32"
    dtype: str = "float32"
    cache_path: Path | None = None

    @property
    def caches_dir(self) -> Path:
        """Folder that the cache goes to."""
        if self.cache_path is not None:
            return self.cache_path.parent
        return self.artifacts_dir / CACHES

    def to_json(self) -> str:
        """Returns it for a child process."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Subject":
        """Reads what `to_json` returned."""
        fields = json.loads(text)
        for name in ("artifacts_dir", "cache_path"):
            if fields[name] is not None:
                fields[name] = Path(fields[name])
        return cls(**fields)
