"""Whether a process that left its name somewhere may still be there."""

import os
import socket


def may_live(host: str, pid: int) -> bool:
    """Tells whether a process may be there, as far as can be told from here.

    Args:
        host: Its machine, as `socket.gethostname` says.
        pid: Its number there.
    """
    if host != socket.gethostname():
        return True
    if os.name != "posix":  # Elsewhere `os.kill` ends what it asks.
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # Alive, and another user's.
    return True
