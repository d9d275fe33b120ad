"""Tests for `embed.building.runners.cluster`."""

import pytest

from embed.errors import RunnerError

pytest.importorskip("ray")

from embed.building.runners.cluster import Machine
from embed.building.runners.cluster import divide_cluster


@pytest.mark.parametrize(
    ("machines", "num_workers", "gpus_each", "expected"),
    [
        # Few workers that leave few cores over.
        ([Machine(16, 0)], None, 0, (1, 16)),
        ([Machine(16, 0), Machine(16, 0)], None, 0, (2, 16)),
        ([Machine(16, 0), Machine(8, 0)], None, 0, (3, 8)),
        ([Machine(2, 0), Machine(64, 0)], None, 0, (1, 64)),
        ([Machine(4, 0), *[Machine(96, 0)] * 3], None, 0, (3, 96)),
        # As many as are wanted, each with its share.
        ([Machine(16, 0), Machine(16, 0)], 8, 0, (8, 4)),
        ([Machine(16, 0), Machine(16, 0)], 3, 0, (3, 8)),
        ([Machine(2, 0)], 5, 0, (2, 1)),
        ([Machine(2, 0), Machine(64, 0)], 8, 0, (8, 8)),
        # A worker a GPU, or a part of one.
        ([Machine(16, 4), Machine(16, 4)], None, 1, (8, 4)),
        ([Machine(16, 4), Machine(16, 0)], None, 2, (2, 8)),
        ([Machine(16, 1)], None, 0.5, (2, 8)),
        ([Machine(16, 2)], None, 0.4, (4, 4)),
        ([Machine(16, 2)], None, 0.6, (2, 8)),
        ([Machine(16, 4)], None, 0.7, (4, 4)),
        ([Machine(16, 4)], 3, 1, (3, 5)),
        ([Machine(4, 1), Machine(96, 8)], None, 1, (9, 4)),
        ([Machine(2, 4)], None, 1, (2, 1)),
    ],
)
def test_a_cluster_is_divided(machines, num_workers, gpus_each, expected):
    """No machine has more workers than it has CPUs or GPUs for."""
    assert divide_cluster(machines, num_workers, gpus_each) == expected


@pytest.mark.parametrize(
    ("machines", "gpus_each", "received"),
    [
        ([], 0, "no machine"),
        ([Machine(8, 1), Machine(8, 1)], 2, "8 CPUs, 1 GPUs"),
    ],
)
def test_a_cluster_without_room_is_refused(machines, gpus_each, received):
    """The error says what there is."""
    with pytest.raises(RunnerError, match=received):
        divide_cluster(machines, None, gpus_each)
