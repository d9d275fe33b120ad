"""Tests for `embed.memory`."""

import pytest

from embed.memory import default_limit
from embed.memory import format_size
from embed.memory import free_memory
from embed.memory import parse_size

MACHINE_FREE = 8_000_000 * 1024


@pytest.fixture(name="machine")
def _machine(tmp_path):
    """A folder with `proc` and `sys` of a machine; files by path and text."""

    def write(files):
        files = {
            "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
            **files,
        }
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1000000", 1_000_000),
        ("960B", 960),
        ("500M", 500_000_000),
        ("8G", 8_000_000_000),
        ("8 gb", 8_000_000_000),
        ("1.5K", 1500),
        ("2T", 2 * 10**12),
        ("1.5GiB", 3 * 2**29),
        ("64Mi", 2**26),
    ],
)
def test_sizes_are_read(text, size):
    """Bytes, decimal and binary units, in capitals or not."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0.1", "-1", "-8G", "8X", "G", "8GG", "1e9", "8i", "½G"]
)
def test_what_is_no_size_is_refused(text):
    """The error repeats it and shows what would do."""
    with pytest.raises(ValueError, match="such as 500M") as error:
        parse_size(text)

    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (960, "960 bytes"),
        (52_756_480, "52.8 MB"),
        (8_000_000_000, "8.0 GB"),
        (21_456_789_012, "21.5 GB"),
    ],
)
def test_sizes_are_written_for_people(size, text):
    """One decimal, in the largest unit that is not larger than the size."""
    assert format_size(size) == text


def test_without_control_groups_the_machine_counts(machine):
    """What the kernel calls available is free."""
    assert free_memory(machine({})) == MACHINE_FREE


def test_a_container_has_what_its_limit_leaves(machine):
    """Of 1,000,000 bytes 600,000 are used, 200,000 of them page cache."""
    root = machine(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000000\n",
            "sys/fs/cgroup/memory.current": "600000\n",
            "sys/fs/cgroup/memory.stat": "file 300000\ninactive_file 200000\n",
        }
    )

    assert free_memory(root) == 600_000


def test_the_tightest_group_decides(machine):
    """A group without a limit of its own is bound by that around it."""
    root = machine(
        {
            "proc/self/cgroup": "0::/user/job\n",
            "sys/fs/cgroup/user/job/memory.max": "max\n",
            "sys/fs/cgroup/user/job/memory.current": "1000\n",
            "sys/fs/cgroup/user/memory.max": "5000\n",
            "sys/fs/cgroup/user/memory.current": "2000\n",
        }
    )

    assert free_memory(root) == 3000


@pytest.mark.parametrize("group", ["/", "/docker/0a1b", "/../.."])
def test_the_first_version_of_groups_is_understood(machine, group):
    """The path may be the host's: then the mount is the container's own."""
    root = machine(
        {
            "proc/self/cgroup": f"5:cpu,cpuacct:/\n4:memory:{group}\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "7000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 500\n",
        }
    )

    assert free_memory(root) == 4500


def test_a_limit_above_the_machine_frees_nothing(machine):
    """The first version writes a number near 2^63 for no limit."""
    root = machine(
        {
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
        }
    )

    assert free_memory(root) == MACHINE_FREE


def test_a_full_container_has_nothing(machine):
    """More used than allowed is none free, and not less."""
    root = machine(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/memory.current": "1500\n",
        }
    )

    assert free_memory(root) == 0


def test_elsewhere_all_memory_counts(tmp_path):
    """Without `proc` there is the size of the machine."""
    assert free_memory(tmp_path) > 2**28


def test_the_default_is_half_of_what_is_free():
    """Both are read from this machine, a moment apart."""
    assert 0 < default_limit() < free_memory()
