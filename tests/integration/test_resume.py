"""A build that is killed goes on where it stopped, to the same rows."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from embed.blocks import BLOCK_ROWS
from embed.cache import open_cache
from embed.extract import build_cache
from embed.splits import Selection

NUM_PICTURES = 3 * BLOCK_ROWS  # Enough blocks to be killed between two.
SLOW_BUILD = """
import time
from embed import build, cli
write = build.write_block
def write_slowly(block, path):
    write(block, path)
    time.sleep(60)  # The parent kills us here, after one whole block.
build.write_block = write_slowly
cli.app(prog_name="embed")
"""


@pytest.fixture(name="many_pictures")
def _many_pictures(picture_folder):
    """The drawn pictures, each several times under other names."""
    originals = sorted((picture_folder / "train").rglob("*.png"))
    for number in range(NUM_PICTURES):
        original = originals[number % len(originals)]
        copy = original.with_name(f"copy-{number:04}.png")
        copy.write_bytes(original.read_bytes())
    return picture_folder


def test_a_killed_build_resumes_to_equal_rows(
    many_pictures, tiny_request, tiny_module_dir, tmp_path
):
    """After SIGKILL only the missing blocks are computed, to the same bits."""
    options = [
        *("--dataset", f"folder:{many_pictures}"),
        *("--backbone", f"hub:{tiny_module_dir}"),
        *("--image-size", "8", "--engine", "tensorflow", "-q"),
        *("--artifacts", str(tmp_path / "killed")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, "build-cache", *options]
    )
    caches_dir = tmp_path / "killed" / "caches"
    while process.poll() is None and not list(caches_dir.rglob("*.npz")):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(caches_dir.glob("*.h5"))

    resumed = build_cache(tiny_request, artifacts_dir=tmp_path / "killed")
    whole = build_cache(tiny_request, artifacts_dir=tmp_path / "whole")

    num_views = 2 * sum(whole.cache.num_images.values())
    assert whole.num_computed == num_views
    assert resumed.num_computed == num_views - 2 * BLOCK_ROWS
    for split in ("train", "test"):
        left = open_cache(resumed.cache.path).take(Selection(split))
        right = whole.cache.take(Selection(split))
        np.testing.assert_array_equal(left.features, right.features)
        assert left.image_ids == right.image_ids
    assert not list(caches_dir.glob("*.building"))
