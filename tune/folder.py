"""The folder of a search: where it is made and how it gets to its place.

A search works in `searches/.building/NAME/` and moves to `searches/NAME/`
when it is complete, so that an older result stands until then. What an
interrupted search leaves there is what it goes on from.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from embed.artifacts import BUILDING
from embed.artifacts import mend_folder
from embed.artifacts import name_dataset
from embed.artifacts import swap_folder
from embed.cache import FeatureCache
from embed.claims import lock_work
from tune.spec import SearchSpec


class SearchFolder:
    """One search on disk, finished or not.

    Args:
        searches_dir: Where all searches are kept.
        name: What it is called there.
    """

    def __init__(self, searches_dir: Path, name: str) -> None:
        self.path = searches_dir / name
        self.build_dir = searches_dir / BUILDING / name
        self._lock_path = searches_dir / BUILDING / f"{name}.lock"

    def lock(self) -> AbstractContextManager[None]:
        """Lets one process do the search; a dead one's lock is free.

        Raises:
            PipelineError: If another process is doing it.
        """
        return lock_work(self._lock_path, f"The search {self.path}")

    def mend(self) -> None:
        """Undoes a swap that was killed half way, or finishes it."""
        mend_folder(self.path)

    def swap(self) -> None:
        """Puts the complete search in the place of an older one."""
        swap_folder(self.build_dir, self.path)


def name_search(cache: FeatureCache, spec: SearchSpec) -> str:
    """Returns `DATASET-ORACLE-DIGEST`, the first two being for people."""
    dataset = name_dataset(cache.spec.dataset)
    return f"{dataset}-{spec.oracle}-{spec.digest()}"
