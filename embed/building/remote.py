"""Paths in a store: an object store, or what else fsspec knows by a URL.

A `RemotePath` has those few things of a `pathlib.Path` that blocks need. A
file is fetched and put whole, in one request where the store has one for
that: as an object it is there whole or not at all. The path is its URL and
nothing more, so that it can be sent to another process, which opens the store
with credentials of its own.
"""

import contextlib
import dataclasses
import fnmatch
import functools
import io
import os
import threading
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from typing import Literal

from embed.building.store_errors import S3_SCHEMES
from embed.building.store_errors import describe_endpoint
from embed.building.store_errors import describe_failure
from embed.errors import StorageError

# A put there is seen whole or not at all, and a folder is part of a name.
OBJECT_STORES = frozenset(
    {"abfs", "abfss", "az", "gcs", "gs", "memory", "oss", "s3", "s3a"}
)
# More, and s3fs asks for the size of each file before it fetches it.
OPTIONS = {scheme: {"max_concurrency": 1} for scheme in S3_SCHEMES}
PROBE_SECONDS = 30.0  # A store that did not answer by then is given up.
REMOVED_AT_ONCE = 1_000  # S3 takes so many names in a request.


@dataclasses.dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder in a store.

    Args:
        url: Where it lies, without a slash at its end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> "RemotePath":
        """The folder it lies in."""
        return RemotePath(self.url.rpartition("/")[0])

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return self.url.partition("://")[0]

    def glob(self, pattern: str) -> list["RemotePath"]:
        """Returns what lies in this folder under names of a pattern, sorted.

        Raises:
            StorageError: If the store does not answer.
        """
        try:
            with self._explain("listed", FileNotFoundError):
                filesystem, path = self._open()
                found = filesystem.ls(path, detail=False)
        except FileNotFoundError:  # As empty as a folder gets.
            return []
        names = {entry.rstrip("/").rpartition("/")[2] for entry in found}
        return [self / name for name in sorted(fnmatch.filter(names, pattern))]

    def read_bytes(self) -> bytes:
        """Returns what a file holds.

        Raises:
            FileNotFoundError: If it is not there.
            StorageError: If the store does not answer.
        """
        with self._explain("read", FileNotFoundError):
            filesystem, path = self._open()
            return bytes(filesystem.cat_file(path))

    def read_text(self, encoding: str) -> str:
        """Returns the text of a file.

        Raises:
            FileNotFoundError: If it is not there.
            StorageError: If the store does not answer.
        """
        return self.read_bytes().decode(encoding)

    def open(self, mode: Literal["rb"]) -> io.BytesIO:
        """Fetches a file, to be read from memory.

        Raises:
            FileNotFoundError: If it is not there.
            StorageError: If the store does not answer.
        """
        return io.BytesIO(self.read_bytes())

    def write_bytes(self, data: bytes) -> None:
        """Puts a file, which is there whole or not at all.

        Raises:
            StorageError: If it cannot be written.
        """
        with self._explain("written"):
            self._put(data)

    def remove(self, files: Sequence["RemotePath"]) -> None:
        """Removes files of this folder, and the folders if they are empty.

        Raises:
            StorageError: If they cannot be removed.
        """
        with self._explain("removed"):
            filesystem, root = self._open()
            paths = [file._open()[1] for file in files]
            for start in range(0, len(paths), REMOVED_AT_ONCE):
                filesystem.rm(paths[start : start + REMOVED_AT_ONCE])
            if self.scheme in OBJECT_STORES:
                return
            folders = {path.rpartition("/")[0] for path in paths}
            for folder in sorted({*folders, root}, key=len, reverse=True):
                with contextlib.suppress(OSError):  # It holds something else.
                    filesystem.rmdir(folder)

    def require_usable(self) -> None:
        """Lists the folder, and writes, reads and removes a small file in it.

        Raises:
            StorageError: If that fails, or takes too long.
        """
        outcome = Future[None]()

        def run() -> None:
            try:
                self._probe()
                outcome.set_result(None)
            except BaseException as error:
                outcome.set_exception(error)

        # A thread that nobody waits for: some libraries try for minutes.
        threading.Thread(target=run, daemon=True).start()
        try:
            outcome.result(PROBE_SECONDS)
        except TimeoutError as error:
            raise StorageError(
                f"{self} does not answer{describe_endpoint(self.scheme)}. "
                "Expected: a store that lists a folder, and takes and gives "
                f"back a small file, in {PROBE_SECONDS:g} s. Received: nothing "
                "by then. See to the network or name another place with "
                "`--blocks`, and run the command again."
            ) from error

    def _probe(self) -> None:
        self.glob("*")
        # Of this process alone: others may try at the same time.
        probe = self / f".headstart-{os.getpid()}-{os.urandom(4).hex()}"
        with self._explain("written"):
            probe._put(b"probe")
        try:
            with self._explain("read"):
                probe.read_bytes()
        finally:
            with self._explain("removed"):
                filesystem, path = probe._open()
                filesystem.rm([path])

    def _put(self, data: bytes) -> None:
        filesystem, path = self._open()
        if self.scheme in OBJECT_STORES:
            filesystem.pipe_file(path, data)
            return
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        part = f"{path}.{os.urandom(4).hex()}.part"  # Others may write, too.
        try:
            filesystem.pipe_file(part, data)
            if filesystem.exists(path):  # Some move nothing over a file.
                with contextlib.suppress(FileNotFoundError):
                    filesystem.rm_file(path)
            filesystem.mv(part, path)
        except Exception:
            with contextlib.suppress(Exception):  # It may be full, or away.
                filesystem.rm_file(part)
            raise

    def _open(self) -> tuple[Any, str]:
        """Returns the filesystem and the path in it.

        What it remembers of listings is dropped: other machines write, too.
        """
        root = "/".join(self.url.split("/")[:3])
        filesystem = _share(root, os.getpid()) or _connect(root)
        filesystem.invalidate_cache()
        return filesystem, str(filesystem._strip_protocol(self.url))

    @contextlib.contextmanager
    def _explain(self, verb: str, *told: type[Exception]) -> Iterator[None]:
        """Turns what any library raises into one line.

        Args:
            verb: What could not be done, e.g. `"read"`.
            told: What the caller deals with.
        """
        try:
            yield
        except Exception as error:  # Each store has errors of its own.
            if isinstance(error, (StorageError, *told)):
                raise
            raise StorageError(
                describe_failure(self.url, error, verb)
            ) from error


AnyPath = Path | RemotePath


def list_folder(folder: AnyPath, pattern: str) -> list[AnyPath]:
    """Returns what lies in a folder under names of a pattern, sorted.

    Raises:
        StorageError: If a store does not answer.
    """
    if isinstance(folder, RemotePath):
        return [*folder.glob(pattern)]
    return [*sorted(folder.glob(pattern))]


def identify(path: AnyPath) -> AnyPath:
    """Returns a path that is the same by whatever name it was reached."""
    return path if isinstance(path, RemotePath) else path.resolve()


@functools.cache
def _share(root: str, pid: int) -> Any:
    """Opens the filesystem of a bucket or host, once a process.

    fsspec itself opens one a thread, and with S3 that takes half a second.

    Args:
        root: `SCHEME://` and the bucket or host.
        pid: Of this process: a fork shares nothing.

    Returns:
        `None` where threads must not share it.
    """
    filesystem = _connect(root)
    return filesystem if filesystem.async_impl else None


def _connect(root: str) -> Any:
    """Opens the filesystem of a bucket or host."""
    import fsspec

    options = OPTIONS.get(root.partition("://")[0], {})
    return fsspec.url_to_fs(root, **options)[0]
