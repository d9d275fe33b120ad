"""The folder where TF-Hub keeps modules, and who is fetching one.

`embed.backbones.fetch` says what lies there.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from embed.backbones.handle import expand
from embed.process import may_live

CACHE_VARIABLE = "TFHUB_CACHE_DIR"
DEFAULT_CACHE = "~/.cache/tfhub_modules"  # The hub's own, in /tmp, gets swept.


@dataclasses.dataclass(frozen=True)
class Fetcher:
    """Who has locked a module.

    Args:
        host: Its machine.
        pid: Its process.
        task: What it calls its fetch.
    """

    host: str
    pid: int
    task: str

    @property
    def may_live(self) -> bool:
        """Whether it may still be there, as far as can be told from here."""
        return may_live(self.host, self.pid)


def find_folder() -> Path:
    """Returns where modules are kept."""
    folder = os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE
    return expand(folder).absolute()


def find_module_dir(address: str) -> Path:
    """Returns where the module of an address is kept."""
    name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    return find_folder() / name


def is_kept(module_dir: Path) -> bool:
    """Tells whether there is anything of a module, as the hub does."""
    return module_dir.is_dir() and any(module_dir.iterdir())


def read_fetcher(lock_path: Path) -> Fetcher | None:
    """Returns who has locked a module; `None` if the file does not say."""
    try:
        host, pid, task = lock_path.read_text("utf-8").rsplit(".", 2)
        return Fetcher(host, int(pid), task)
    except (OSError, ValueError):
        return None
