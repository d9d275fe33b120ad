"""Folders of pictures, `folder:DIR`; `layout` says how they may lie there."""

import os
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.decoding.formats import FORMATS
from embed.errors import SourceError
from embed.sources.files import read_picture
from embed.sources.files import stamp_of
from embed.sources.label_list import require_label_list
from embed.sources.layout import Layout
from embed.sources.layout import arrange_by_folder
from embed.sources.layout import arrange_by_list
from embed.sources.layout import arrange_by_name
from embed.sources.layout import arrange_unlabelled
from embed.sources.request import SourceRequest
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import index_by_name
from embed.sources.source import index_unlabelled
from embed.sources.source import require_known_classes

LABEL_SOURCES = ("folder", "name", "none")  # Of `--label-from`.


class FolderSource(Source):
    """The pictures below a folder, with labels from where they are found.

    Without `train` and `test`, one image in five goes to the test split by
    the hash of its id. Ids are paths relative to the split's folder, with `/`
    on every system.

    Args:
        root: The folder.
        labels: List of the pictures with their labels.
        label_from: Without a list, what says the class: `folder`, the first
            folder; `name`, the name without its number; `none`: nothing.
        split_names: What the splits are called there, where that was said;
            folders of other splits are left alone then.
    """

    def __init__(
        self,
        root: Path,
        *,
        labels: Path | None = None,
        label_from: str = "folder",
        split_names: Mapping[str, str] | None = None,
    ) -> None:
        require_folder(root)
        if labels is not None:
            layout = arrange_by_list(root, labels, split_names)
        elif label_from == "none":
            layout = arrange_unlabelled(root)
        elif label_from == "name":
            layout = arrange_by_name(root, split_names)
        else:
            layout = arrange_by_folder(root, split_names)
        _require_pictures(root, layout)
        self._folders, self._ids = layout.folders, layout.image_ids
        class_names = sorted({n for of in layout.labels.values() for n in of})
        super().__init__(
            name="folder",
            version="",
            class_names=class_names,
            splits={
                split: index_by_name(ids, layout.labels[split], class_names)
                if layout.labels
                else index_unlabelled(ids)
                for split, ids in layout.image_ids.items()
            },
            ignored=layout.ignored,
        )
        if layout.labels and layout.is_given:
            require_known_classes(self)

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row, with a problem where it cannot be read.

        Raises:
            SourceError: If the storage fails, or the whole folder is gone.
        """
        for row in rows:
            path = self._folders[split] / self._ids[split][row]
            yield read_picture(path, self._folders[split])

    def stamps(self, split: str) -> np.ndarray:
        """Returns those of each file, of what a link leads to."""
        folder, ids = os.fspath(self._folders[split]), self._ids[split]
        stamps = np.full((len(ids), 3), -1, np.int64)
        for row, image_id in enumerate(ids):
            try:
                stamps[row] = stamp_of(os.stat(f"{folder}/{image_id}"))
            except OSError:  # Reading says why.
                continue
        return stamps


def check_request(request: SourceRequest) -> None:
    """Refuses what does not exist, without listing the folder.

    Raises:
        SourceError: If the folder or the list is not there, or the options
            do not go together.
    """
    require_folder(Path(request.name))
    label_from = request.label_from
    if label_from is not None and label_from not in LABEL_SOURCES:
        raise SourceError(
            "The labels of a folder do not come from there. Expected: one of "
            f"{', '.join(LABEL_SOURCES)}. Received: {label_from!r}. Give one "
            "with `--label-from`, or a list with `--labels FILE`."
        )
    if request.labels is not None:
        require_label_list(Path(request.labels))
        if label_from is not None:
            raise SourceError(
                f"Labels cannot come both from the list {request.labels} and "
                f"from {label_from!r}. Expected: one of the two. Leave out "
                "`--labels` or `--label-from`."
            )
    if label_from == "none" and (request.train_split or request.test_split):
        raise SourceError(
            "Pictures without labels are not divided. Expected: no "
            "`--train-split` and no `--test-split` with `--label-from none`. "
            "Leave them out."
        )


def open_request(request: SourceRequest) -> FolderSource:
    """Opens the folder that was asked for."""
    check_request(request)
    return FolderSource(
        Path(request.name),
        labels=Path(request.labels) if request.labels else None,
        label_from=request.label_from or "folder",
        split_names=request.given_split_names,
    )


def require_folder(root: Path) -> None:
    """Refuses a folder that is not there.

    Raises:
        SourceError: Says what is expected of it.
    """
    if not root.is_dir():
        raise SourceError(
            f"There is no folder {root}. Expected: a folder that holds "
            "train/<class>/ and test/<class>/, or <class>/. Give one with "
            "`--dataset folder:DIR`."
        )


def _require_pictures(root: Path, layout: Layout) -> None:
    if not any(layout.image_ids.values()):
        raise SourceError(
            f"The folder {root} holds no pictures where they are looked for. "
            "Expected: train/<class>/* and test/<class>/*, or <class>/*, of "
            f"{FORMATS}. Put pictures there, name another with "
            "`--dataset folder:DIR`, or say where labels are with `--labels "
            "FILE` or `--label-from name` (or `none`)."
        )
