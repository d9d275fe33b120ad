"""A fresh process in which an exported file answers, by its own runtime."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO
from typing import cast

import numpy as np

from embed.startup import LOG_LEVEL_FATAL
from embed.startup import LOG_LEVEL_VARIABLE
from head.exporting import runtimes
from head.exporting.formats import FormatError
from head.exporting.runtimes import ENCODED
from head.exporting.runtimes import PIXELS
from head.exporting.runtimes import pack_array
from head.exporting.runtimes import read_message
from head.exporting.runtimes import unpack_array
from head.exporting.runtimes import write_message

PACKAGES_DIR = Path(runtimes.__file__).parents[2]
MAX_SHOWN = 300  # Characters of what a process said when it ended.


class FreshProcess:
    """Answers of an exported file, in a process of its own; for `with`.

    It computes on the processor, as the float32 of a GPU may be TF32.

    Args:
        name: Of the format.
        path: Of the file.

    Raises:
        FormatError: If it cannot be opened.
    """

    documents: dict[str, str]  # Text by name, as the file holds them.

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path

    def __enter__(self) -> "FreshProcess":
        self._log = tempfile.TemporaryFile()
        folders = [str(PACKAGES_DIR), os.environ.get("PYTHONPATH", "")]
        # In another folder, and not interrupted with this process: it ends
        # when its input does.
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(  # noqa: S603  # Our own program.
            [
                *(sys.executable, "-P", runtimes.__file__),
                *(self._name, self._path.absolute()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=self._folder.name,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, folders)),
                "CUDA_VISIBLE_DEVICES": "-1",
                LOG_LEVEL_VARIABLE: LOG_LEVEL_FATAL,
            },
            start_new_session=True,
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        try:
            (documents,) = self._receive()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.documents = json.loads(documents)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout, self._log):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._folder.cleanup()

    def answer_encoded(self, pictures: Sequence[bytes]) -> list[np.ndarray]:
        """Returns what is answered for encoded pictures; see `answer`."""
        return self._ask([ENCODED, *pictures])

    def answer(self, images: np.ndarray) -> list[np.ndarray]:
        """Returns logits, probabilities if there are any, and the seconds.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].

        Raises:
            FormatError: If there is no answer.
        """
        return self._ask([PIXELS, pack_array(images)])

    def _ask(self, message: Sequence[bytes]) -> list[np.ndarray]:
        # Of a process that has ended, the log says why.
        with contextlib.suppress(BrokenPipeError):
            write_message(self._stdin, message)
        return [unpack_array(part) for part in self._receive()]

    def _receive(self) -> list[bytes]:
        message = read_message(self._stdout)
        if message is None:
            self._log.seek(0)
            lines = self._log.read().decode("utf-8", "replace").split("\n")
            said = next((line for line in reversed(lines) if line.strip()), "")
            raise FormatError(
                f"The runtime of {self._name} does not run {self._path.name}: "
                f"{said[:MAX_SHOWN] or 'it ended without a word'}."
            )
        return message
