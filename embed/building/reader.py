"""Blocks read one after the other, the next ones ahead, as from a store."""

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

from embed.building.blocks import Block
from embed.building.blocks import read_block
from embed.building.remote import AnyPath

# Blocks in memory: 30 MB of 1792-d features in two views. A store takes 50 ms
# to answer; eight at a time come as fast as most networks carry them.
NUM_AHEAD = 8


class BlockReader:
    """Reads blocks by their numbers; the last one is kept.

    Args:
        paths: Where they lie.
    """

    def __init__(self, paths: Sequence[AnyPath]) -> None:
        self._paths = paths
        self._pool = ThreadPoolExecutor(NUM_AHEAD)
        self._pending: dict[int, Future[Block | None]] = {}
        self._number = -1
        self._block: Block | None = None

    def path(self, number: int) -> AnyPath:
        """Returns where a block lies."""
        return self._paths[number]

    def read(self, number: int) -> Block | None:
        """Returns a block; `None` when it is absent or damaged.

        Others are read ahead where it is the one after the last.

        Raises:
            StorageError: If a store does not answer.
        """
        if number != self._number:
            is_next = number == self._number + 1
            stop = number + NUM_AHEAD if is_next else number + 1
            self._pending = {
                n: self._pending.get(n)
                or self._pool.submit(read_block, self._paths[n])
                for n in range(number, min(stop, len(self._paths)))
            }
            self._block = self._pending.pop(number).result()
            self._number = number
        return self._block
