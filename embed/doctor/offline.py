"""Calls what may want the network, and finds out where it would have gone.

Libraries fetch what they do not find. Python tells its audit hooks of every
address before it is opened, and takes an exception for an answer:
https://docs.python.org/3/library/audit_events.html
"""

import sys
from collections.abc import Callable
from typing import Any
from typing import TypeVar

Result = TypeVar("Result")

# Of Python's own client with the whole address, of others with the host.
OPENED, NAMED, CONNECTED = (
    "urllib.Request",
    "socket.getaddrinfo",
    "socket.connect",
)
LOCAL_FAMILY = "AF_UNIX"  # Processes of this machine, as TensorFlow's own.
HTTP_PORT = 80

_hooked: list[bool] = []  # A hook can be added, and never taken away.
_wanted: list[str] | None = None  # While a call runs.


class OfflineError(OSError):
    """What was called wanted the network."""


def call_offline(
    function: Callable[[], Result],
) -> tuple[Result | Exception, list[str]]:
    """Calls a function without a network.

    It holds for the whole process, and from the first call on: for a child.

    Returns:
        What it returned or raised, and the addresses that it wanted.
    """
    global _wanted
    if not _hooked:
        sys.addaudithook(_refuse)
        _hooked.append(True)
    wanted: list[str] = []
    _wanted = wanted
    result: Result | Exception
    try:
        result = function()
    except Exception as error:  # Whatever the library makes of it.
        result = error
    finally:
        _wanted = None
    return result, list(dict.fromkeys(wanted))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _wanted is None:
        return
    if event == OPENED:
        _wanted.append(str(arguments[0]))
    elif event == NAMED:
        host, port = arguments[:2]
        scheme = "http" if port == HTTP_PORT else "https"
        _wanted.append(f"{scheme}://{host}:{port}")
    elif event != CONNECTED or arguments[0].family.name == LOCAL_FAMILY:
        return
    raise OfflineError("no network is used here")
