"""Where the rows of a cache that is asked for may lie already."""

from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from embed.artifacts import newest_first
from embed.building.current import CurrentPictures
from embed.building.folder import BLOCKS
from embed.building.folder import BUILDING
from embed.building.folder import read_spec
from embed.building.parents import BlocksParent
from embed.building.parents import CacheParent
from embed.building.parents import Parent
from embed.building.place import open_place
from embed.building.plan import NOBODY
from embed.building.plan import Plan
from embed.building.plan import make_plan
from embed.building.remote import AnyPath
from embed.building.remote import identify
from embed.building.remote import list_folder
from embed.building.request import BuildRequest
from embed.building.stamps import NO_STAMP
from embed.building.stamps import read_stamps
from embed.building.stamps import write_stamps
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.spec import CacheSpec
from embed.spec import describe_differences
from embed.spec import is_kin
from embed.spec import is_served_by
from embed.storage.seal import BUILD_COMMAND


class Lookup:
    """Looks for rows among the caches, and the builds that were cut off.

    Args:
        request: What is asked for.
        spec: What its rows are determined by.
        pictures: As they are now.
        path: Where the cache is to go.
        folders: Where caches and builds lie.
        is_named: Whether it must be there, and no other cache serves.
    """

    def __init__(
        self,
        request: BuildRequest,
        spec: CacheSpec,
        pictures: CurrentPictures,
        path: Path,
        folders: Iterable[Path],
        *,
        is_named: bool = False,
    ) -> None:
        self._request, self._spec, self._pictures = request, spec, pictures
        self._path, self._folders = path, list(dict.fromkeys(folders))
        self._is_named = is_named

    def find_finished(self) -> FeatureCache | None:
        """Returns a cache that holds all wanted vectors, if there is one.

        One of other pictures under the same names does not serve. One that
        left bad pictures out serves only who accepts that: they may be mended
        by now.

        Raises:
            StaleCacheError: If another cache lies where this one is to go.
            CorruptCacheError: If what lies there is damaged.
        """
        if self._path.exists():
            there = open_cache(self._path)
            self._require_served(there)
            there.pictures_digest()  # Damage there is told, not built over.
        for parent in self._find_caches(self._may_serve):
            plan = make_plan(
                self._spec,
                self._pictures,
                [parent],
                accepts_errors=self._request.on_error == "skip",
            )
            if plan.sole_parent() is parent:
                _renew_stamps(parent, plan, self._pictures)
                return parent.cache
        return None

    def find_parents(self, own_dir: AnyPath) -> list[Parent]:
        """Returns all that may know some of the rows, caches first.

        Args:
            own_dir: Folder of the blocks of the build that asks.
        """
        blocks = self._request.blocks
        folders: list[AnyPath] = [*self._folders]
        if blocks is not None:
            folders.append(open_place(blocks))
        builds = find_builds(self._spec, folders, besides=own_dir)
        return [*self._find_caches(), *builds]

    def _find_caches(
        self, is_wanted: Callable[[FeatureCache], bool] = lambda cache: True
    ) -> list[CacheParent]:
        paths = [p for f in self._folders for p in newest_first(f, "*.h5")]
        return find_caches(
            self._spec,
            dict.fromkeys([self._path, *paths]),
            max_pixels=self._request.max_pixels,
            is_wanted=is_wanted,
        )

    def _may_serve(self, cache: FeatureCache) -> bool:
        """Tells by its spec whether a cache may hold all wanted vectors."""
        if cache.path == self._path:
            return is_served_by(self._spec, cache.spec)
        return not self._is_named and cache.spec == self._spec

    def _require_served(self, cache: FeatureCache) -> None:
        if is_served_by(self._spec, cache.spec):
            return
        raise StaleCacheError(
            f"The cache {cache.path} was built from other inputs. "
            f"{describe_differences(self._spec, cache.spec)} Name another path "
            "with `--cache`, where rows that are equal are taken over from "
            f"this one, or replace it with `{BUILD_COMMAND} --overwrite` and "
            "the same options."
        )


def find_caches(
    spec: CacheSpec,
    cache_paths: Iterable[Path],
    *,
    max_pixels: int,
    is_wanted: Callable[[FeatureCache], bool] = lambda cache: True,
) -> list[CacheParent]:
    """Opens the caches that hold vectors of a spec.

    Args:
        spec: What is to be built.
        cache_paths: Caches, the most likely first. Those that are damaged or
            of other vectors are passed over.
        max_pixels: Largest number of pixels a picture may have.
        is_wanted: Tells which of them to read at all.
    """
    parents: list[CacheParent] = []
    for path in cache_paths:
        try:
            cache = open_cache(path)
            if is_kin(spec, cache.spec) and is_wanted(cache):
                parent = CacheParent(cache, max_pixels=max_pixels)
                for split in cache.num_images:
                    parent.known(split)
                parents.append(parent)
        except PipelineError:
            continue
    return parents


def find_builds(
    spec: CacheSpec, folders: Iterable[AnyPath], *, besides: AnyPath
) -> list[Parent]:
    """Returns the builds in some folders that hold vectors of a spec.

    Args:
        spec: What is to be built.
        folders: Where to look.
        besides: Folder of the blocks of the build that asks.
    """
    parents: list[Parent] = []
    seen = {identify(besides)}
    for folder in folders:
        for blocks_dir in [
            *list_folder(folder, f"*{BUILDING}"),
            *list_folder(folder, f"*{BLOCKS}"),
        ]:
            if identify(blocks_dir) in seen:  # By another name.
                continue
            seen.add(identify(blocks_dir))
            held = read_spec(blocks_dir)
            if held is not None and is_kin(spec, held):
                parents.append(BlocksParent(blocks_dir, held.views))
    return parents


def _renew_stamps(
    parent: CacheParent, plan: Plan, pictures: CurrentPictures
) -> None:
    """Spares the next build the pictures that this one had to read."""
    stamps = {}
    for split, num_images in parent.cache.num_images.items():
        of_split = plan.splits[split]
        rows = np.flatnonzero(of_split.parents != NOBODY)
        stamps[split] = np.full((num_images, 3), NO_STAMP)
        stamps[split][of_split.positions[rows]] = pictures.stamps(split)[rows]
    if any(
        not np.array_equal(stamps[split], read_stamps(parent.cache, split))
        for split in stamps
    ):
        write_stamps(parent.cache, stamps)
