"""What a build would be of: the part of its request that the doctor needs."""

import dataclasses
import json
from pathlib import Path


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

    def to_json(self) -> str:
        """Returns it for a child process."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Subject":
        """Reads what `to_json` returned."""
        fields = json.loads(text)
        return cls(**{**fields, "artifacts_dir": Path(fields["artifacts_dir"])})
