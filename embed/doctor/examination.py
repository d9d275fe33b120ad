"""The examination: every check in order, none able to stop the others."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embed.doctor.builds import check_builds
from embed.doctor.check import Check
from embed.doctor.check import Finding
from embed.doctor.check import UnknownError
from embed.doctor.check import warn
from embed.doctor.child import Facts
from embed.doctor.estimate import Estimate
from embed.doctor.estimate import check_estimate
from embed.doctor.estimate import make_estimate
from embed.doctor.hub_cache import check_hub_cache
from embed.doctor.installation import check_engine
from embed.doctor.installation import check_gpu
from embed.doctor.installation import check_imports
from embed.doctor.installation import check_keras
from embed.doctor.materials import check_backbone
from embed.doctor.materials import check_dataset
from embed.doctor.materials import check_views
from embed.doctor.prepared import check_datasets
from embed.doctor.reachability import check_network
from embed.doctor.requirements import REASONS
from embed.doctor.requirements import check_others
from embed.doctor.requirements import check_package
from embed.doctor.requirements import check_python
from embed.doctor.room import check_cache_place
from embed.doctor.room import check_disk
from embed.doctor.room import check_memory
from embed.doctor.room import count_free_bytes
from embed.doctor.subject import Subject


class Examination:
    """All that is looked at, and every check of it.

    Args:
        facts: What the probe found out.
        subject: What the build would be of.
        free_memory: Bytes that were free before the probe.
        count_free: Returns the bytes that are free on the disk of a folder.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        subject: Subject,
        free_memory: int,
        count_free: Callable[[Path], int] = count_free_bytes,
    ) -> None:
        self._facts, self._subject = facts, subject
        self._free_memory, self._count_free = free_memory, count_free

    @functools.cached_property
    def estimate(self) -> Estimate:
        """What a build would take.

        Raises:
            UnknownError: If that is not known.
        """
        return make_estimate(self._facts, self._subject.dtype)

    def estimate_payload(self) -> dict[str, Any] | None:
        """Returns the estimate for `--json`, `None` if there is none."""
        try:
            return dataclasses.asdict(self.estimate)
        except UnknownError:
            return None

    def run(self) -> list[Check]:
        """Makes every check.

        Returns:
            One a check, in the order in which they are to be seen to.
        """
        return [Check(name, _run(one)) for name, one in self.checks().items()]

    def checks(self) -> dict[str, Callable[[], Finding]]:
        """Returns every check by its name."""
        facts, get, subject = self._facts, self._facts.get, self._subject
        folder = subject.caches_dir
        return {
            "python": check_python,
            **{n: functools.partial(check_package, n) for n in REASONS},
            "other packages": check_others,
            "imports": lambda: check_imports(facts),
            "keras settings": lambda: check_keras(get("keras")),
            "gpu": lambda: check_gpu(get("devices")),
            "engine": lambda: check_engine(get("engines")),
            "dataset": lambda: check_dataset(facts),
            "views": lambda: check_views(facts),
            "backbone": lambda: check_backbone(facts),
            "network": lambda: check_network(facts.urls()),
            "artifacts folder": lambda: check_cache_place(
                subject.cache_path, folder
            ),
            "builds": lambda: check_builds(
                get("builds"), subject.artifacts_dir
            ),
            "hub cache": lambda: check_hub_cache(
                get("hub cache"), facts.problem("backbone")
            ),
            "tfds data": lambda: check_datasets(get("datasets")),
            "disk": lambda: check_disk(
                self.estimate, folder, self._count_free(folder)
            ),
            "memory": lambda: check_memory(self.estimate, self._free_memory),
            "estimate": lambda: check_estimate(self.estimate),
        }


def _run(check: Callable[[], Finding]) -> Finding:
    """Makes one check; one that fails itself is a finding like any other."""
    try:
        return check()
    except UnknownError as error:
        return warn(
            f"not known: {error}", "See to what is wrong, and run this again"
        )
    except Exception as error:  # The rest is worth knowing all the same.
        return warn(
            f"could not be checked: {type(error).__name__}: {error}",
            "See to what is wrong, and run this again",
        )
