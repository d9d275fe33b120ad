"""Tests for `embed.doctor.room`."""

import os
import resource

import pytest

from embed.doctor.estimate import Estimate
from embed.doctor.room import check_disk
from embed.doctor.room import check_folder
from embed.doctor.room import check_memory
from embed.doctor.room import count_free_bytes

ESTIMATE = Estimate(
    num_images=100,
    num_views=2,
    feature_dim=10,
    cache_bytes=4_000_000,
    disk_bytes=8_000_000,
    memory_bytes=1_000_000_000,
    views_per_second=None,
    seconds=None,
    basis="",
)


def test_a_folder_below_a_file(tmp_path):
    """It holds for every user, an administrator too."""
    (tmp_path / "file").touch()

    found = check_folder(
        tmp_path / "file" / "caches", use="caches", advice="Choose another"
    )

    assert found.level == "error"
    assert f"caches cannot be written to {tmp_path}/file/caches" in found.detail
    assert found.advice == "Choose another"


def test_a_folder_that_takes_no_bytes(tmp_path):
    """A disk that is full takes a file, but not what is in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        found = check_folder(tmp_path, use="caches", advice="Choose another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert found.level == "error"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    """The mode of the folder counts."""
    tmp_path.chmod(0o500)

    found = check_folder(tmp_path, use="caches", advice="Choose another")

    assert found.level == "error"
    assert "Permission denied" in found.detail


def test_a_folder_that_is_not_there_yet(tmp_path):
    """It can be made where those around it can be written; it is not made."""
    folder = tmp_path / "a" / "b"

    found = check_folder(folder, use="caches", advice="")

    assert found.level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_little_disk(tmp_path):
    """What is free, what is needed, and two ways to more."""
    found = check_disk(ESTIMATE, tmp_path / "artifacts", 7_999_999)

    assert found.level == "error"
    assert (
        f"8.0 MB free at {tmp_path}, and a build needs 8.0 MB" in found.detail
    )
    assert "embed prune" in found.advice
    assert "--artifacts DIR" in found.advice


def test_just_enough_disk(tmp_path):
    """The last byte counts."""
    assert check_disk(ESTIMATE, tmp_path, 8_000_000).level == "ok"


def test_free_bytes_are_those_of_the_disk(tmp_path):
    """As the system says, also for a folder that is not there yet."""
    facts = os.statvfs(tmp_path)

    found = count_free_bytes(tmp_path / "a" / "b")

    total = facts.f_frsize * facts.f_blocks
    assert 0 < found <= total


def test_little_memory_is_a_warning():
    """The build may come through, and nothing is lost if it does not."""
    little = check_memory(ESTIMATE, 999_999_999)
    enough = check_memory(ESTIMATE, 1_000_000_000)

    assert (little.level, enough.level) == ("warning", "ok")
    assert "limit of the container" in little.advice
