"""What a build would be of: the part of its request that the doctor needs."""

import dataclasses
import json
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a build would be of, in the words of the command line.

    Args:
        dataset: Handle of the source.
        data_dir: Where TFDS keeps its datasets; `None` for its default.
        backbone: Handle of the backbone.
        weights: Of a `keras:` backbone.
        image_size: Height and width in pixels.
        views: What `--views` accepts.
        artifacts_dir: Folder of everything written.
    """

    dataset: str
    data_dir: str | None
    backbone: str
    weights: str
    image_size: int
    views: str
    artifacts_dir: Path

    def to_json(self) -> str:
        """Returns it for a child process."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Subject":
        """Reads what `to_json` returned."""
        fields = json.loads(text)
        return cls(**{**fields, "artifacts_dir": Path(fields["artifacts_dir"])})
