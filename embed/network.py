"""The network, where there is one: time-outs, and the ways out without it."""

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

SILENCE_SECONDS = 10.0  # A server that says nothing for so long is given up.

WAYS_OUT = (
    "Ways out: pictures that are already here, with `--data-dir DIR` (or "
    "TFDS_DATA_DIR) for a prepared TFDS dataset or `--dataset folder:DIR`; a "
    "backbone that is already here, with TFHUB_CACHE_DIR=DIR for modules "
    "fetched elsewhere, `--backbone hub:DIR` for a local SavedModel, or "
    "`--backbone keras:NAME --weights PATH`; or `--preset digits`, which needs "
    "no download."
)


@contextlib.contextmanager
def limit_silence() -> Iterator[None]:
    """Gives every new connection a time-out, for libraries that set none."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)


def probe(url: str) -> None:
    """Asks whether there is a network, by any answer of a server.

    Raises:
        OSError: If nobody answers.
    """
    try:
        with limit_silence():
            urllib.request.urlopen(url).close()  # noqa: S310  Ours.
    except urllib.error.HTTPError:
        return
