"""Where the commands keep what they write, and how they find it again.

    caches/NAME-FINGERPRINT.h5      feature caches; the features of a large
                                    one in `NAME-FINGERPRINT.h5.parts/`
    searches/NAME/best.json         the winner of a search, a `HeadSpec`
    runs/NAME/run.json              trained heads
    models/NAME/parity.json         exported models

Each of these files is written last, so that its presence says that the rest
is complete; its modification time says which artifact is the newest.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import SourceError
from embed.errors import StaleCacheError
from embed.errors import StorageError
from embed.spec import CacheSpec
from embed.spec import describe_differences
from embed.storage.seal import BUILD_COMMAND

CACHES, SEARCHES, RUNS, MODELS = "caches", "searches", "runs", "models"
COMPARISONS = "comparisons"
# Among runs and searches, one level deeper than the finished: nothing looks
# there for them.
BUILDING = ".building"
PATTERN = re.compile(r"[*?{]")
DATASET_SUFFIXES = (".parquet", ".tar")


def newest_first(artifacts_dir: Path, pattern: str) -> list[Path]:
    """Returns the files that match a pattern, the last written first."""
    times: dict[Path, int] = {}
    for path in artifacts_dir.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # Gone since, or a link.
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=times.__getitem__, reverse=True)


def name_dataset(handle: str) -> str:
    """Returns the part of a dataset's handle that names files for people.

    The last part of its path, and of a pattern of shards their folder.
    """
    kind, _, name = handle.rstrip("/").partition(":")
    words = [w for w in name.split("/") if w and not PATTERN.search(w)]
    word = words[-1] if words else kind
    for suffix in DATASET_SUFFIXES:
        word = word.removesuffix(suffix)
    return re.sub(r"[^A-Za-z0-9_.]+", "_", word)


def touch(path: Path) -> None:
    """Makes a finished artifact the newest, since it was asked for again."""
    now = time.time_ns()  # The kernel's own clock lags by a few ms.
    with contextlib.suppress(PermissionError):  # Another user's: it serves.
        os.utime(path, ns=(now, now))


def find_cache(artifacts_dir: Path, cache_path: Path | None) -> FeatureCache:
    """Opens the cache that is named, or else the newest.

    Raises:
        MissingArtifactError: If there is none.
        CorruptCacheError: If it is no whole cache.
        StaleCacheError: If it is of another schema.
    """
    return open_cache(find_cache_path(artifacts_dir, cache_path))


def find_labelled_cache(
    artifacts_dir: Path, cache_path: Path | None
) -> FeatureCache:
    """Opens the cache that is named, or else the newest that has labels.

    Raises:
        MissingArtifactError: If there is none.
        CorruptCacheError: If it is no whole cache.
        StaleCacheError: If it is of another schema.
        SourceError: If the one that was named has no labels.
    """
    unlabelled: FeatureCache | None = None
    if cache_path is None:
        for path in newest_first(artifacts_dir, f"{CACHES}/*.h5"):
            cache = open_cache(path)
            if cache.spec.is_labelled:
                return cache
            unlabelled = unlabelled or cache
    cache = unlabelled or find_cache(artifacts_dir, cache_path)
    if not cache.spec.is_labelled:
        raise SourceError(
            f"The pictures of the cache {cache.path} have no labels. "
            "Expected: a cache with classes, to train and to be judged on. "
            f"Build one with `{BUILD_COMMAND}`, or name one with `--cache "
            "PATH`."
        )
    return cache


def find_cache_path(artifacts_dir: Path, cache_path: Path | None) -> Path:
    """Returns where the cache lies that is named, or else the newest.

    Raises:
        MissingArtifactError: If there is none.
    """
    if cache_path is not None:
        return cache_path
    paths = newest_first(artifacts_dir, f"{CACHES}/*.h5")
    if not paths:
        raise MissingArtifactError(
            f"There is no feature cache in {artifacts_dir / CACHES}. Build one "
            f"with `{BUILD_COMMAND}`, or name one by its path."
        )
    return paths[0]


def find_cache_of(
    artifacts_dir: Path, fingerprint: str, recorded_path: Path | None = None
) -> FeatureCache:
    """Opens the cache a run or search was made on, wherever it lies now.

    Args:
        artifacts_dir: Where to look when it is not where it was.
        fingerprint: Of its spec.
        recorded_path: Where it was, if that is known.

    Raises:
        MissingArtifactError: If no cache has that fingerprint.
    """
    found = f"{CACHES}/*{fingerprint}.h5"
    recorded = [recorded_path] if recorded_path else []
    for path in (*recorded, *newest_first(artifacts_dir, found)):
        if path.is_file():
            cache = open_cache(path)
            if cache.fingerprint == fingerprint:
                return cache
    places = " nor ".join(map(str, (*recorded, artifacts_dir / CACHES)))
    raise MissingArtifactError(
        f"The cache of fingerprint {fingerprint} is not at {places}. Build it "
        f"again with `{BUILD_COMMAND}`, or name it with `--cache PATH`."
    )


def create_stale_error(
    made_on: CacheSpec, cache: FeatureCache, *, subject: str, advice: str
) -> StaleCacheError:
    """Returns the error of an artifact made on another cache than is given.

    Args:
        made_on: What that cache was made from.
        cache: The one that was given.
        subject: The artifact and its verb, e.g. `"The run runs/a was made"`.
        advice: What to run instead.

    Returns:
        One that names each field that differs, with both values.
    """
    return StaleCacheError(
        f"{subject} on another cache than {cache.path}. "
        f"{describe_differences(made_on, cache.spec)} {advice}"
    )


def iterate_caches(
    artifacts_dir: Path,
) -> Iterator[tuple[Path, FeatureCache | PipelineError]]:
    """Yields every cache file, the newest first, opened or with its error."""
    for path in newest_first(artifacts_dir, f"{CACHES}/*.h5"):
        try:
            yield path, open_cache(path)
        except PipelineError as error:
            yield path, error


@contextlib.contextmanager
def replace_folder(directory: Path) -> Iterator[Path]:
    """Yields an empty folder beside `directory`, then moves it there.

    What was there stays until the new one is whole; of a body that raises
    nothing is left.
    """
    part = directory.with_name(directory.name + ".part")
    directory.parent.mkdir(parents=True, exist_ok=True)
    # One writer at a time: two of the same run would share the part folder.
    with filelock.FileLock(directory.parent / ".lock"):
        mend_folder(directory)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
            swap_folder(part, directory)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def swap_folder(new: Path, directory: Path) -> None:
    """Puts a folder in the place of an older one, if there is one.

    A kill between the two moves loses neither: `mend_folder` puts the old one
    back.
    """
    old = _place_of_old(directory)
    try:
        if directory.exists():
            old.parent.mkdir(exist_ok=True)
            directory.rename(old)
        new.rename(directory)
    finally:
        _put_back(directory)
    shutil.rmtree(old, ignore_errors=True)


def mend_folder(directory: Path) -> None:
    """Undoes a swap that was killed half way, or finishes it.

    Raises:
        OSError: If the old folder cannot be removed: no new one would find its
            place free.
    """
    _put_back(directory)
    if (old := _place_of_old(directory)).exists():
        shutil.rmtree(old)


def _put_back(directory: Path) -> None:
    old = _place_of_old(directory)
    if old.exists() and not directory.exists():
        old.rename(directory)


def _place_of_old(directory: Path) -> Path:
    return directory.parent / BUILDING / f"{directory.name}.old"


def write_text(path: Path, text: str) -> None:
    """Writes a small file so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def make_folder(path: Path, *, option: str = "--artifacts DIR") -> Path:
    """Makes a folder for results, and checks that it can be written.

    Args:
        path: The folder.
        option: How another is named.

    Raises:
        StorageError: If it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"The folder {path} cannot be written: {error.strerror}. Expected: "
            f"a folder that can. Choose another with `{option}`."
        ) from error
    return path
