"""What a user asks for: a dataset, its labels and its splits."""

import os
from pathlib import Path

import pydantic

PATH_KINDS = frozenset({"folder", "wds"})
PARQUET = ".parquet"


class SourceRequest(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What a user asks for; enough to open the same source again.

    Args:
        dataset: `tfds:NAME`, `folder:DIR`, `hf:NAME`, `wds:PATTERN` or
            `digits`.
        data_dir: Where TFDS or Hugging Face keeps its datasets; `None` for
            their defaults.
        limit: Largest number of images a split; `None` for all.
        labels: List of the pictures of a folder with their labels.
        label_from: Where else labels come from; `None` for what is usual.
        train_split: What the dataset calls its train split; `None` for
            `train`.
        test_split: What it calls its test split; `None` for `test`.
    """

    dataset: str
    data_dir: str | None = None
    limit: int | None = pydantic.Field(default=None, ge=1)
    labels: str | None = None
    label_from: str | None = None
    train_split: str | None = None
    test_split: str | None = None

    @property
    def kind(self) -> str:
        """What stands before the colon, e.g. `"folder"`."""
        return self.dataset.partition(":")[0]

    @property
    def name(self) -> str:
        """What stands behind the colon."""
        return self.dataset.partition(":")[2]

    @property
    def split_names(self) -> dict[str, str]:
        """What the dataset calls `train` and `test`."""
        return {
            "train": self.train_split or "train",
            "test": self.test_split or "test",
        }

    @property
    def given_split_names(self) -> dict[str, str] | None:
        """The same, or `None` where neither was given."""
        is_given = self.train_split or self.test_split
        return self.split_names if is_given else None

    @property
    def is_local(self) -> bool:
        """Whether the name is a path: of `hf:` what is there, or looks so."""
        if self.kind != "hf":
            return self.kind in PATH_KINDS and bool(self.name)
        return (
            self.name.endswith(PARQUET)
            or self.name.startswith(("/", ".", "~"))
            or (bool(self.name) and Path(self.name).exists())
        )

    def anchored(self) -> "SourceRequest":
        """Returns the request with absolute paths, good from any folder."""
        changes: dict[str, str] = {}
        if self.is_local:
            changes["dataset"] = f"{self.kind}:{_anchor(self.name)}"
        for field in ("data_dir", "labels"):
            path = getattr(self, field)
            if path is not None:
                changes[field] = _anchor(path)
        return self.model_copy(update=changes)


def _anchor(path: str) -> str:
    # Of a user whom nobody knows `Path.expanduser` raises a RuntimeError.
    return str(Path(os.path.expanduser(path)).absolute())
