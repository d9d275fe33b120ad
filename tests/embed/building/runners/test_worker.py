"""Tests for `embed.building.runners.worker` and what it is told."""

import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from embed.artifacts import write_text
from embed.backbones import load_backbone
from embed.building.blocks import list_blocks
from embed.building.blocks import read_block
from embed.building.blocks import write_block
from embed.building.current import CurrentPictures
from embed.building.folder import SPEC
from embed.building.folder import TOKEN
from embed.building.folder import begin_blocks
from embed.building.folder import read_token
from embed.building.plan import make_plan
from embed.building.remote import RemotePath
from embed.building.request import create_spec
from embed.building.runners import worker as worker_module
from embed.building.runners.order import Failure
from embed.building.runners.order import WorkOrder
from embed.building.runners.order import list_units
from embed.building.runners.worker import BlockWorker
from embed.building.runners.worker import answer
from embed.console import Console
from embed.devices import num_cpu_threads
from embed.errors import EngineError
from embed.errors import RunnerError
from embed.errors import SourceError
from embed.errors import StorageError
from embed.sources import open_source
from tests.conftest import NUM_PICTURES
from tests.conftest import TINY_DIM

QUIET = Console(is_quiet=True)


class Counted(MemoryFileSystem):
    """A store that counts how often each file is asked for."""

    protocol = "counted"
    asked: ClassVar[list[str]] = []

    def cat_file(self, path, start=None, end=None, **options):
        """Gives a file."""
        self.asked.append(path.rpartition("/")[2])
        return super().cat_file(path, start, end, **options)


fsspec.register_implementation("counted", Counted)


@pytest.fixture(name="order")
def _order(tiny_request, tmp_path):
    """The build of the drawn pictures, one block a split."""
    request = dataclasses.replace(
        tiny_request, backbone=tiny_request.backbone.anchored()
    )
    spec = create_spec(
        request,
        open_source(request.source),
        load_backbone(request.backbone),
    )
    blocks_dir = tmp_path / "cache.h5.building"
    begin_blocks(blocks_dir, blocks_dir, spec)
    return WorkOrder(
        request, spec, blocks_dir, read_token(blocks_dir), num_views=84
    )


@pytest.fixture(name="units")
def _units(order):
    """What is to be computed: all of it."""
    return list_all(order)


def list_all(order, views=None):
    """Returns the units of a build that knows nothing yet."""
    pictures = CurrentPictures(open_source(order.request.source), QUIET)
    plan = make_plan(order.spec, pictures, [], accepts_errors=False)
    counts = {name: s.num_images for name, s in order.spec.splits.items()}
    tasks = [
        dataclasses.replace(task, views=views or task.views)
        for task in plan.list_tasks(list_blocks(counts))
    ]
    return list_units(tasks, pictures)


def test_a_worker_has_all_its_cores_decode(order, monkeypatch):
    """Each picture in one thread, as in the command itself."""
    asked = []
    monkeypatch.setattr(worker_module, "use_threads", asked.append)

    BlockWorker(order)

    assert asked == [num_cpu_threads()]


def test_a_unit_is_a_block_on_disk(order, units):
    """The worker writes the rows, and reports all but the features."""
    chosen = []

    report = BlockWorker(order).compute(units[0], "", chosen.append)

    block = read_block(units[0].key.path_in(order.blocks_dir))
    (result,) = report.results
    num_images = 3 * NUM_PICTURES["train"]
    assert block.features.shape == (num_images, 2, TINY_DIM)
    assert result.features is None
    np.testing.assert_array_equal(result.rows, np.arange(num_images))
    np.testing.assert_array_equal(result.content_digests, block.content_digests)
    np.testing.assert_array_equal(block.stamps, units[0].stamps[0])
    assert chosen == ["tensorflow"]
    assert report.num_decoded == num_images
    assert report.seconds["forward"] > 0


def test_a_store_is_asked_for_a_block_once(order, units, tmp_path):
    """Each request of it costs money and a round trip."""
    blocks_dir = RemotePath("counted://there/cache.blocks")
    begin_blocks(tmp_path / "other.h5.building", blocks_dir, order.spec)
    order = dataclasses.replace(
        order, blocks_dir=blocks_dir, token=read_token(blocks_dir)
    )
    Counted.asked.clear()

    BlockWorker(order).compute(units[0], "tensorflow")

    assert Counted.asked == ["spec.json", "token", "00000000.npz"]
    assert len(read_block(units[0].key.path_in(blocks_dir))) == 30


def test_an_engine_is_chosen_without_computing_a_block(order, units):
    """By the first good picture of a unit, if there is one."""
    worker = BlockWorker(order)

    assert worker.choose_engine(units[0]) == ("tensorflow", ())
    assert read_block(units[0].key.path_in(order.blocks_dir)) is None


def test_an_engine_is_not_chosen_by_pictures_that_are_bad(
    order, picture_folder
):
    """Another unit may have good ones."""
    for path in (picture_folder / "test").glob("*/*"):
        path.write_bytes(b"no picture")
    (_, unit) = list_all(order)

    assert BlockWorker(order).choose_engine(unit) == ("", ())
    report = BlockWorker(order).compute(unit, "")
    assert len(report.results[0].bad) == 12


def test_two_units_at_once_are_what_they_are_alone(order, units, tmp_path):
    """One has the engine while the other is decoded; no row is mixed up."""
    alone = tmp_path / "alone"
    alone.mkdir()
    write_text(alone / SPEC, order.spec.to_json())
    write_text(alone / TOKEN, order.token)
    for unit in units:
        BlockWorker(dataclasses.replace(order, blocks_dir=alone)).compute(
            unit, ""
        )
    worker = BlockWorker(order)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda unit: worker.compute(unit, ""), units))

    for unit in units:
        ours, theirs = (
            read_block(unit.key.path_in(folder))
            for folder in (order.blocks_dir, alone)
        )
        assert ours.features.tobytes() == theirs.features.tobytes()


def test_a_unit_that_was_computed_is_found(order, units):
    """One whose report was lost costs nothing, in another worker either."""
    before = BlockWorker(order).compute(units[0], "tensorflow")

    again = BlockWorker(order).compute(units[0], "tensorflow")

    assert (before.num_decoded, again.num_decoded) == (30, 0)
    for name, expected in vars(before.results[0]).items():
        np.testing.assert_array_equal(getattr(again.results[0], name), expected)


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_block_that_is_not_what_it_should_be_is_computed(
    order, units, picture_folder, is_lost
):
    """Rows of it are missing, or of what a picture held before."""
    worker = BlockWorker(order)
    path = units[0].key.path_in(order.blocks_dir)
    worker.compute(units[0], "tensorflow")
    if is_lost:
        write_block(read_block(path).take(np.arange(29)), path)
    else:
        old, new = sorted((picture_folder / "train" / "cat").iterdir())[:2]
        old.write_bytes(new.read_bytes())
    before = read_block(path)

    report = worker.compute(units[0], "tensorflow")

    after = read_block(path)
    assert report.num_decoded == 30
    assert len(after) == 30
    if not is_lost:
        is_other = (before.features != after.features).any(axis=(1, 2))
        assert is_other.sum() == 1


def test_views_that_are_not_all_go_back(order):
    """Whoever knows the others writes the block."""
    (unit, *_) = list_all(order, views=("flip",))

    report = BlockWorker(order).compute(unit, "tensorflow")

    (result,) = report.results
    assert result.features.shape == (30, 1, TINY_DIM)
    assert read_block(unit.key.path_in(order.blocks_dir)) is None


def test_a_picture_that_is_bad_goes_back_with_its_reason(order, picture_folder):
    """It has no row; the engine is chosen by the others."""
    bad = sorted((picture_folder / "train" / "cat").iterdir())[0]
    bad.write_bytes(b"no picture")
    (unit, *_) = list_all(order)

    report = BlockWorker(order).compute(unit, "")

    (result,) = report.results
    assert [image.row for image in result.bad] == [0]
    assert len(read_block(unit.key.path_in(order.blocks_dir))) == 29


def test_a_worker_that_finds_other_pictures_is_refused(order, picture_folder):
    """Rows of what the command does not know would be wrong ones."""
    (picture_folder / "train" / "cat" / "new.jpg").write_bytes(b"")

    with pytest.raises(
        SourceError,
        match=r"other pictures.*num_images=30.*num_images=31.*same files",
    ):
        BlockWorker(order)


def test_a_worker_that_does_not_see_the_blocks_is_refused(order, tmp_path):
    """It would write where nobody reads."""
    order = dataclasses.replace(order, blocks_dir=tmp_path / "elsewhere")

    with pytest.raises(StorageError, match=r"elsewhere.*all machines share"):
        BlockWorker(order)


def test_a_folder_of_an_earlier_attempt_is_not_the_one(order):
    """A machine that does not share the folder may have one like it."""
    BlockWorker(order)
    begin_blocks(order.blocks_dir, order.blocks_dir, order.spec)

    with pytest.raises(StorageError, match=r"all machines share"):
        BlockWorker(order)


def test_what_is_sent_can_be_pickled(order, units):
    """Nothing is lost on the way to another process and back."""
    order = pickle.loads(pickle.dumps(order))  # noqa: S301
    (unit, _) = pickle.loads(pickle.dumps(units))  # noqa: S301

    report = BlockWorker(order).compute(unit, "")
    again = pickle.loads(pickle.dumps(report))  # noqa: S301

    np.testing.assert_array_equal(
        again.results[0].content_digests, report.results[0].content_digests
    )


def fail(error):
    """Returns work that fails."""

    def work():
        raise error

    return work


@pytest.mark.parametrize(
    "error", [SourceError("It is gone."), OSError(28, "No space", "block")]
)
def test_an_error_for_the_user_arrives_as_it_is(error):
    """With its class, on which the exit code rests, and its message."""
    failure = pickle.loads(pickle.dumps(answer(fail(error))))  # noqa: S301

    with pytest.raises(type(error)) as caught:
        failure.raise_here()

    assert str(caught.value) == str(error)


def test_an_error_that_cannot_be_sent_arrives_as_text():
    """What it says is not lost, though what it is made of is."""
    error = OSError(28, "No space left", "block")
    error.handle = lambda: None

    failure = pickle.loads(pickle.dumps(answer(fail(error))))  # noqa: S301

    with pytest.raises(RuntimeError, match="No space left"):
        failure.raise_here()


def test_a_worker_without_the_engine_of_the_build_is_refused(
    order, units, monkeypatch
):
    """Rows of two engines in one cache would not be what one machine has."""
    monkeypatch.setattr(
        "embed.building.start.list_candidates", lambda *_: ("tensorflow",)
    )

    worker = BlockWorker(order)
    for _ in range(2):  # The next block must not pass where one did not.
        with pytest.raises(EngineError, match=r"openvino.*`--engine openvino`"):
            worker.compute(units[0], "openvino")

    assert read_block(units[0].key.path_in(order.blocks_dir)) is None


def test_an_error_of_another_machine_names_it():
    """Its files are not those of this one."""
    failure = Failure(SourceError("It is gone."), host="node7")

    with pytest.raises(RunnerError, match="On the machine node7: It is gone"):
        failure.raise_here()


def test_a_fault_of_the_program_arrives_with_its_traceback():
    """It is no error that a user can act on."""
    failure = answer(fail(ZeroDivisionError("by zero")))

    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*by zero"):
        failure.raise_here()
