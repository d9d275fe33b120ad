"""How a process starts the libraries it needs: quietly, and without a pause."""

import contextlib
import gc
import logging
import os
import warnings
from collections.abc import Iterator

LOG_LEVEL_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
LOG_LEVEL_FATAL = "3"  # What commands set, but with -v.

_owned: list[bool] = []  # Not empty in a process of ours.


def own_process(*, is_verbose: bool) -> None:
    """Tells that this process runs nothing but what is ours: a command.

    It must come before TensorFlow's import, whose log is kept off stderr.

    Args:
        is_verbose: Whether libraries may log.
    """
    _owned.append(True)
    if is_verbose:
        logging.basicConfig(level=logging.INFO)
        return
    os.environ.setdefault(LOG_LEVEL_VARIABLE, LOG_LEVEL_FATAL)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("tensorflow", "absl", "h5py"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


@contextlib.contextmanager
def import_libraries() -> Iterator[None]:
    """Has the body import what stays until the process ends.

    TensorFlow and Keras come with a million objects. To look for garbage
    among them takes a second while they come, another when the process ends,
    and a fifth of one now and then: no look is taken meanwhile, and in a
    process of ours they are set apart for good. Elsewhere they are not, since
    garbage of others may lie among them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with quiet_start():
            yield
    finally:
        if _owned:
            gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Drops what libraries write to stderr from C++ while they start.

    TensorFlow logs a dozen lines before it reads its own log level. With any
    other level than the commands set, as with `-v`, nothing is dropped.
    """
    if os.environ.get(LOG_LEVEL_VARIABLE) != LOG_LEVEL_FATAL:
        yield
        return
    real = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nowhere)
