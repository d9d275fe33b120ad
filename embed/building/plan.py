"""The plan of a build: which rows are known, and which must be computed."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from embed.building.blocks import BlockKey
from embed.building.current import CurrentPictures
from embed.building.current import find_rows
from embed.building.parents import Parent
from embed.building.stamps import NO_STAMP
from embed.rows import DIGEST_BYTES
from embed.spec import CacheSpec

NOBODY = -1  # No parent knows the row.


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """Where the rows of a split come from.

    Args:
        parents: Number of the parent of each row, -1 for none, `(num_rows,)`.
        positions: Position in that parent, `(num_rows,)`.
        errors: By row why a picture is known to be bad.
    """

    parents: np.ndarray
    positions: np.ndarray
    errors: dict[int, str]


@dataclasses.dataclass(frozen=True)
class Task:
    """Some rows of a block that need the same views.

    Args:
        key: The block.
        rows: Row numbers in the split, ascending.
        views: Names of the views to compute.
    """

    key: BlockKey
    rows: np.ndarray
    views: tuple[str, ...]

    @property
    def num_views(self) -> int:
        """Number of views to run through the backbone."""
        return len(self.rows) * len(self.views)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where the rows of a cache come from.

    Args:
        views: Names of the views that are wanted.
        parents: Who knows rows.
        splits: Plan by split.
    """

    views: tuple[str, ...]
    parents: Sequence[Parent]
    splits: dict[str, SplitPlan]

    def missing_views(self, number: int) -> tuple[str, ...]:
        """Returns the wanted views that a parent does not hold."""
        held = () if number == NOBODY else self.parents[number].views
        return tuple(view for view in self.views if view not in held)

    def list_tasks(self, keys: Sequence[BlockKey]) -> list[Task]:
        """Returns what must be computed, block by block."""
        missing = {
            number: self.missing_views(number)
            for number in range(NOBODY, len(self.parents))
        }
        tasks = []
        for key in keys:
            plan = self.splits[key.split]
            of_views: dict[tuple[str, ...], list[int]] = {}
            for row in key.rows:
                views = missing[int(plan.parents[row])]
                if views and row not in plan.errors:
                    of_views.setdefault(views, []).append(row)
            tasks += [
                Task(key, np.array(rows), views)
                for views, rows in of_views.items()
            ]
        return tasks

    def read(
        self, split: str, rows: np.ndarray, views: Sequence[str]
    ) -> np.ndarray:
        """Reads features that parents know.

        Args:
            split: `"train"` or `"test"`.
            rows: Row numbers, one at least, each of which a parent knows.
            views: Names of views that these parents hold.

        Returns:
            `(num_rows, num_views, feature_dim)`.
        """
        plan = self.splits[split]
        numbers = plan.parents[rows]
        features: np.ndarray | None = None
        for number in np.unique(numbers):
            parent, is_its = self.parents[number], numbers == number
            found = parent.read(split, plan.positions[rows[is_its]])
            columns = [parent.views.index(view) for view in views]
            if features is None:
                shape = len(rows), len(views), found.shape[2]
                features = np.empty(shape, found.dtype)
            features[is_its] = found[:, columns]
        if features is None:
            raise ValueError("Expected: one row at least. Received: none.")
        return features

    def known(
        self, split: str, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what parents know of rows besides their features.

        Returns:
            Content digests, uint8 `(num_rows, 32)`, and whether each picture
            carries an EXIF orientation, booleans `(num_rows,)`.
        """
        plan = self.splits[split]
        digests = np.empty((len(rows), DIGEST_BYTES), np.uint8)
        is_oriented = np.empty(len(rows), bool)
        numbers = plan.parents[rows]
        for number in np.unique(numbers):
            known, is_its = self.parents[number].known(split), numbers == number
            positions = plan.positions[rows[is_its]]
            digests[is_its] = known.content_digests[positions]
            is_oriented[is_its] = known.is_oriented[positions]
        return digests, is_oriented

    def used_parents(self) -> list[Parent]:
        """Returns those from which a row is taken."""
        numbers = {
            int(number)
            for plan in self.splits.values()
            for number in np.unique(plan.parents)
        }
        return [self.parents[number] for number in sorted(numbers - {NOBODY})]

    def sole_parent(self) -> Parent | None:
        """Returns the one that knows every row and every view, if one does."""
        numbers = {
            int(number)
            for plan in self.splits.values()
            for number in np.unique(np.delete(plan.parents, list(plan.errors)))
        }
        if len(numbers) != 1 or self.missing_views(min(numbers)):
            return None
        return self.parents[numbers.pop()]


def make_plan(
    spec: CacheSpec,
    pictures: CurrentPictures,
    parents: Sequence[Parent],
    *,
    accepts_errors: bool,
) -> Plan:
    """Finds out which rows are known.

    A row is known to the first parent that has its id with the content that
    the picture has now, and every wanted view of it; else to the first that
    has some. What a parent knows of a split is forgotten where none of it is of
    use.

    Args:
        spec: What is to be built.
        pictures: As they are now; only those that a parent claims to know by
            another stamp are read.
        parents: Who may know rows.
        accepts_errors: Whether a picture may be known to be bad; else it is
            decoded once more.
    """
    plans = {}
    wanted = set(spec.views)
    order = sorted(
        range(len(parents)),
        key=lambda number: not wanted <= set(parents[number].views),
    )
    for split in spec.splits:
        image_ids = pictures.image_ids(split)
        plan = SplitPlan(
            parents=np.full(len(image_ids), NOBODY, np.int16),
            positions=np.zeros(len(image_ids), np.int64),
            errors={},
        )
        is_open = np.ones(len(image_ids), bool)
        for number in order:
            rows = np.flatnonzero(is_open)
            if not len(rows):
                break
            known = parents[number].known(split)
            ids = [image_ids[row] for row in rows.tolist()]
            positions = find_rows(known.image_ids, ids)
            rows, positions = rows[positions >= 0], positions[positions >= 0]
            is_same = _compare(
                pictures,
                split,
                rows,
                known.content_digests[positions],
                known.stamps[positions],
            )
            rows, positions = rows[is_same], positions[is_same]
            if not len(rows):  # A million ids and digests are 140 MB.
                parents[number].forget(split)
                continue
            is_bad = np.isin(positions, list(known.errors))
            if accepts_errors:
                for row, position in zip(
                    rows[is_bad].tolist(),
                    positions[is_bad].tolist(),
                    strict=True,
                ):
                    plan.errors[row] = known.errors[position]
                is_open[rows[is_bad]] = False
            rows, positions = rows[~is_bad], positions[~is_bad]
            plan.parents[rows], plan.positions[rows] = number, positions
            is_open[rows] = False
        plans[split] = plan
    return Plan(views=spec.views, parents=parents, splits=plans)


def _compare(
    pictures: CurrentPictures,
    split: str,
    rows: np.ndarray,
    digests: np.ndarray,
    stamps: np.ndarray,
) -> np.ndarray:
    """Tells which rows have the contents that a parent saw."""
    now = pictures.stamps(split)[rows]
    is_untouched = (now == stamps).all(axis=1) & (now != NO_STAMP).all(axis=1)
    pictures.learn(split, rows[is_untouched], digests[is_untouched])
    return pictures.have(split, rows, digests)
