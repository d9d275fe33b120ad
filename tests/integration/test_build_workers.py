"""Workers build the cache that one process builds, whatever happens to them."""

import dataclasses
import multiprocessing
import threading
import time

import pytest

from embed.building.folder import build_dir_of
from embed.console import Console
from embed.errors import RunnerError
from embed.extract import build_cache
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import files_in
from tests.drawn_caches import read_datasets
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise
from tests.stopping_console import StoppingConsole

NUM_VIEWS = 2 * 2 * (600 + 4)  # Of 5 blocks to train on and one to test.
pytestmark = pytest.mark.slow


@pytest.fixture(name="request_here", scope="module")
def _request_here(tmp_path_factory, tiny_module_dir):
    """A build of six blocks, one picture of which is bad."""
    folder = write_noise(
        tmp_path_factory.mktemp("workers") / "pictures", num_train=600
    )
    (folder / "train" / "cat" / "0300.png").write_bytes(b"no picture")
    return request_of(folder, tiny_module_dir, on_error="skip")


@pytest.fixture(name="request_there", scope="module")
def _request_there(request_here):
    """The same, by two workers."""
    return dataclasses.replace(request_here, num_workers=2)


@pytest.fixture(name="here", scope="module")
def _here(request_here, tmp_path_factory):
    """What one process builds."""
    return build_cache(
        request_here, artifacts_dir=tmp_path_factory.mktemp("here")
    )


class HearingConsole(Console):
    """Keeps remarks, and calls a function at the first progress."""

    def __init__(self, on_progress=lambda: None):
        super().__init__(is_quiet=False)
        self.said, self._on_progress = [], on_progress

    def say(self, text):
        """Keeps a remark."""
        self.said.append(text)
        if " views (" in text:  # Of the progress.
            self._on_progress()
            self._on_progress = lambda: None


def kill_a_worker():
    """Kills one of the processes that this one started."""
    multiprocessing.active_children()[0].kill()


def test_a_worker_that_is_killed_costs_nothing_but_time(
    request_there, here, tmp_path
):
    """Another one computes its blocks: the same rows, bit by bit, are there."""
    console = HearingConsole(kill_a_worker)

    there = build_cache(request_there, artifacts_dir=tmp_path, console=console)

    assert_equal_datasets(
        read_datasets(there.cache.path), read_datasets(here.cache.path)
    )
    made, other = there.cache.provenance, here.cache.provenance
    assert made.skipped == other.skipped
    assert len(made.skipped) == 1
    assert made.engine == other.engine
    assert there.num_computed == here.num_computed == NUM_VIEWS - 2
    assert sum(a.num_views for a in made.attempts) == NUM_VIEWS
    assert any("was killed by SIGKILL" in text for text in console.said)
    assert any("in 2 workers of" in text for text in console.said)
    assert not multiprocessing.active_children()
    assert files_in(there.cache.path.parent) == [
        there.cache.path.name,
        f"{there.cache.path.name}.stamps",
    ]


def test_what_workers_finished_outlives_an_interrupt(
    request_there, request_here, here, tmp_path
):
    """They end at once; the next call computes what is in no block."""
    with pytest.raises(KeyboardInterrupt):
        build_cache(
            request_there, artifacts_dir=tmp_path, console=StoppingConsole(600)
        )
    assert not multiprocessing.active_children()
    (build_dir,) = (tmp_path / "caches").glob("*.building")
    num_blocks = len(list(build_dir.glob("*/*.npz")))

    resumed = build_cache(request_here, artifacts_dir=tmp_path)

    assert num_blocks > 0
    assert resumed.num_computed <= NUM_VIEWS - num_blocks * 4
    assert_equal_datasets(
        read_datasets(resumed.cache.path), read_datasets(here.cache.path)
    )


def test_a_view_that_is_added_is_all_that_workers_compute(
    request_there, request_here, here, tmp_path
):
    """Those that are known come from the older cache."""
    plain = dataclasses.replace(request_here, views=("plain",))
    build_cache(plain, artifacts_dir=tmp_path)

    both = build_cache(request_there, artifacts_dir=tmp_path)

    assert both.num_computed == here.num_computed // 2
    assert_equal_datasets(
        read_datasets(both.cache.path), read_datasets(here.cache.path)
    )


def test_workers_that_die_again_and_again_end_the_build(
    request_there, tmp_path
):
    """The fault is in the work then, and the message says where to look."""
    is_over = threading.Event()

    def kill_all():
        while not is_over.is_set():
            for child in multiprocessing.active_children():
                child.kill()
            time.sleep(0.01)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(
            RunnerError, match=r"4 times in a row.*SIGKILL.*fewer `--workers`"
        ):
            build_cache(request_there, artifacts_dir=tmp_path)
    finally:
        is_over.set()
        killer.join()

    (build_dir,) = (tmp_path / "caches").glob("*.building")
    assert files_in(build_dir) == ["spec.json", "token"]
    assert build_dir == build_dir_of(
        build_dir.with_name(build_dir.name.removesuffix(".building"))
    )
