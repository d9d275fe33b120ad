"""A Ray cluster of two nodes builds the cache that one process builds."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from embed.extract import build_cache
from tests.children import wait_until
from tests.conftest import COMMAND_SECONDS
from tests.conftest import ROOT
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import read_datasets
from tests.noise_pictures import options_of
from tests.noise_pictures import request_of

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

NUM_PICTURES = {"train": 640, "test": 3}  # Of each class: 5 blocks and one.
NUM_VIEWS = 2 * 2 * sum(NUM_PICTURES.values())
BLOCK_VIEWS = 2 * 256
SIDE = 1600  # Pixels: a block is decoded in seconds, so that there is time.
NUM_KINDS = 4


@pytest.fixture(name="pictures", scope="module")
def _pictures(tmp_path_factory):
    """Many large pictures, of a few kinds: it is by their ids they differ."""
    folder = tmp_path_factory.mktemp("ray") / "pictures"
    rng = np.random.default_rng(0)
    encoded = []
    for kind in range(NUM_KINDS):
        path = folder.with_name(f"{kind}.jpg")
        small = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(small).resize((SIDE, SIDE)).save(path)
        encoded.append(path)
    for split, number in NUM_PICTURES.items():
        for shift, name in enumerate(("cat", "dog")):
            (folder / split / name).mkdir(parents=True)
            for place in range(number):
                kind = encoded[(place + shift) % NUM_KINDS]
                os.link(kind, folder / split / name / f"{place:04}.jpg")
    return folder


@pytest.fixture(name="whole", scope="module")
def _whole(pictures, tiny_module_dir, tmp_path_factory):
    """What one process builds."""
    result = build_cache(
        request_of(pictures, tiny_module_dir),
        artifacts_dir=tmp_path_factory.mktemp("here"),
    )
    return read_datasets(result.cache.path)


@pytest.fixture(name="cluster", scope="module")
def _cluster():
    """Two nodes of one CPU each; the first one stays."""
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(name="start", scope="module")
def _start(cluster, pictures, tiny_module_dir):
    """Starts the command on the cluster; kills what is left of it."""

    @contextlib.contextmanager
    def start(cwd):
        words = ["build-cache", *options_of(pictures, tiny_module_dir)]
        words += ["--runner", "ray", "--address", cluster.address, "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "embed", *map(str, words)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return start


def count_blocks(folder):
    """Returns how many blocks the build of a folder has finished."""
    return len(list(folder.glob("artifacts/caches/*.building/*/*.npz")))


def test_a_node_that_is_killed_costs_nothing_but_time(
    cluster, start, whole, tmp_path
):
    """Its blocks are computed by the other one, to the same rows."""
    (node,) = cluster.worker_nodes

    with start(tmp_path) as process:
        assert wait_until(
            lambda: count_blocks(tmp_path) > 1 or process.poll() is not None
        )
        cluster.remove_node(node, allow_graceful=False)
        num_blocks = count_blocks(tmp_path)
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
    cluster.add_node(num_cpus=1)

    assert process.returncode == 0, stderr
    assert 0 < num_blocks < 6
    result = json.loads(stdout)
    assert result["num_computed"] == NUM_VIEWS
    assert "2 workers on Ray of 1 CPU thread each" in stderr
    assert_equal_datasets(read_datasets(tmp_path / result["cache"]), whole)


def test_a_driver_that_is_killed_goes_on_from_the_blocks(
    start, whole, tmp_path
):
    """What is in a block is not computed again."""
    with start(tmp_path) as process:
        assert wait_until(
            lambda: count_blocks(tmp_path) > 1 or process.poll() is not None
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    num_blocks = count_blocks(tmp_path)

    with start(tmp_path) as process:
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)

    assert process.returncode == 0, stderr
    assert 0 < num_blocks < 6
    result = json.loads(stdout)
    assert result["num_computed"] <= NUM_VIEWS - (num_blocks - 1) * BLOCK_VIEWS
    assert_equal_datasets(read_datasets(tmp_path / result["cache"]), whole)


def test_a_cluster_that_is_not_there_is_an_error(run_command, picture_folder):
    """One line, in time, that says how one is started."""
    process = run_command(
        *("build-cache", "--dataset", f"folder:{picture_folder}"),
        *("--backbone", "keras:MobileNetV2", "--weights", "random"),
        *("--image-size", "32", "--runner", "ray"),
        *("--address", "127.0.0.1:1"),
    )

    assert process.returncode == 1
    (line,) = [x for x in process.stderr.splitlines() if "error:" in x]
    assert "no Ray cluster at 127.0.0.1:1" in line
    assert "ray start --head" in line
    assert "Traceback" not in process.stderr
