"""Tests for `embed.upkeep.prune`."""

import json
import shutil
from pathlib import Path

import pytest

from embed.building.folder import PLACE
from embed.building.lock import is_being_built
from embed.building.lock import lock_build
from embed.cache import open_cache
from embed.claims import claim_cache
from embed.disk import count_bytes
from embed.errors import PipelineError
from embed.storage.part_folders import measure_cache
from embed.upkeep.prune import plan_prune
from embed.upkeep.prune import remove
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import create_spec
from tests.drawn_caches import files_in
from tests.drawn_caches import write_drawn_cache
from tests.drawn_caches import write_unlabelled_cache

USED_STAMPS = ["used.h5.stamps"]


@pytest.fixture(name="caches_dir")
def _caches_dir(tmp_path):
    folder = tmp_path / "artifacts" / "caches"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(name="write")
def _write(caches_dir):
    """Writes a cache by name, and its stamps; returns its spec."""

    def write(name, num_train, **options):
        path = caches_dir / name
        write_drawn_cache(path, num_train=num_train, **options)
        path.with_name(f"{name}.stamps").write_bytes(bytes(10))
        return create_spec(num_train)

    return write


@pytest.fixture(name="record")
def _record(tmp_path):
    """Writes a JSON record below the artifacts."""

    def record(place, content):
        path = tmp_path / "artifacts" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        return path

    return record


@pytest.fixture(name="plan")
def _plan(tmp_path):
    """Plans to prune; returns the names of what goes and of what stays."""

    def plan(*, takes_unfinished=False):
        pruning = plan_prune(
            tmp_path / "artifacts", takes_unfinished=takes_unfinished
        )
        return names(pruning.removed), names(pruning.kept)

    return plan


def names(entries):
    """Returns the names of entries, sorted."""
    return sorted(entry.path.name for entry in entries)


def test_a_cache_that_nothing_refers_to_goes(write, plan, caches_dir):
    """It and what belongs to it; until `remove` all is there."""
    write("a.h5", 3)

    assert plan() == (["a.h5", "a.h5.stamps"], [])
    assert files_in(caches_dir) == ["a.h5", "a.h5.stamps"]


@pytest.mark.parametrize(
    "place", ["runs/one/run.json", "searches/one/search.json"]
)
def test_the_cache_of_a_run_or_search_stays(write, plan, record, place):
    """The record's spec is what counts, not the name of a file."""
    spec = write("used.h5", 3)
    write("unused.h5", 4)
    record(place, {"cache_spec": spec.model_dump(mode="json")})

    assert plan() == (
        ["unused.h5", "unused.h5.stamps"],
        ["used.h5"],
    )


def test_the_caches_of_a_comparison_stay(write, plan, record):
    """Each that it speaks of, not the first alone."""
    specs = [write("first.h5", 3), write("second.h5", 4)]
    write("unused.h5", 5)
    named = [{"fingerprint": spec.fingerprint()} for spec in specs]
    record("comparisons/one/comparison.json", {"caches": named})

    assert plan() == (
        ["unused.h5", "unused.h5.stamps"],
        ["first.h5", "second.h5"],
    )


def test_a_cache_without_labels_stays(caches_dir, tmp_path):
    """Who uses it leaves no record; it says so, and how it goes."""
    write_unlabelled_cache(caches_dir / "a.h5")

    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=True)

    assert pruning.removed == ()
    assert pruning.to_text().endswith(
        "): its pictures have no labels, so that no run can refer to it; "
        "remove it by hand."
    )


def test_the_cache_of_a_search_that_was_cut_off_stays(write, plan, record):
    """Its spec names it from the start; the search can go on."""
    spec = write("used.h5", 3)
    record(
        "searches/.building/one/spec.json",
        {"fingerprint": spec.fingerprint()},
    )

    assert plan() == ([], ["used.h5"])


def test_the_cache_of_a_training_that_goes_on_stays(
    write, plan, caches_dir, tmp_path
):
    """It has no record yet, but a claim; afterwards it is as all others."""
    write("used.h5", 3)
    marker = tmp_path / "artifacts" / "runs" / ".building" / "one.json"

    with claim_cache(marker, open_cache(caches_dir / "used.h5")):
        during = plan(takes_unfinished=True)

    assert during == ([], ["used.h5"])
    assert not marker.exists()
    assert plan() == (["used.h5", "used.h5.stamps"], [])


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("runs/one/run.json", "{"),
        ("runs/one/run.json", "[]"),
        ("runs/one/run.json", {"cache": "a.h5"}),
        ("runs/one/run.json", {"cache_spec": {"dataset": "folder"}}),
        ("searches/one/search.json", ""),
        ("comparisons/one/comparison.json", {"seeds": [0]}),
        ("comparisons/one/comparison.json", {"caches": ["a.h5"]}),
        ("comparisons/one/comparison.json", {"caches": None}),
        ("searches/.building/one/spec.json", {"oracle": "random"}),
        ("runs/.building/one.json", {"cache": "a.h5"}),
        ("runs/.building/one.json", ""),
        ("comparisons/.building/one/cache-0.json", "{}"),
    ],
)
def test_nothing_goes_while_a_record_is_unreadable(
    write, plan, record, place, content
):
    """It may refer to any cache: the error names it."""
    write("a.h5", 3)
    path = record(place, content)

    with pytest.raises(PipelineError, match=r"embed prune` again") as error:
        plan()

    assert str(path) in str(error.value)


def test_a_file_that_is_no_cache_stays(plan, caches_dir):
    """Nobody else's file is removed, whatever its name."""
    (caches_dir / "weights.h5").write_bytes(b"weights")

    assert plan() == ([], ["weights.h5"])


def test_a_damaged_cache_that_says_what_it_was_goes(write, plan, caches_dir):
    """Its seal is whole; a record would still find it."""
    write("a.h5", 3)
    data = (caches_dir / "a.h5").read_bytes()
    (caches_dir / "a.h5").write_bytes(data[:-100])

    assert plan()[0] == ["a.h5", "a.h5.stamps"]


def test_an_unfinished_build_stays_unless_asked_for(plan, caches_dir):
    """Its work is lost with it, so that it has an option of its own."""
    (caches_dir / "a.h5.building" / "train").mkdir(parents=True)

    assert plan() == ([], ["a.h5.building"])
    assert plan(takes_unfinished=True) == (["a.h5.building"], [])


@pytest.mark.parametrize("takes_unfinished", [False, True])
def test_blocks_that_lie_elsewhere_are_told(
    tmp_path, caches_dir, takes_unfinished
):
    """A store is not asked: they stay, and whoever prunes knows where."""
    build_dir = caches_dir / "a.h5.building"
    build_dir.mkdir(parents=True)
    (build_dir / PLACE).write_text("s3://bucket/a.blocks")

    pruning = plan_prune(
        tmp_path / "artifacts", takes_unfinished=takes_unfinished
    )

    (entry,) = pruning.removed + pruning.kept
    assert entry.reason.endswith(
        "blocks in s3://bucket/a.blocks are left alone"
    )


def test_what_is_being_built_stays(write, plan, caches_dir, quiet):
    """The cache that is replaced, the blocks, the lock: all of it."""
    write("a.h5", 3)
    (caches_dir / "a.h5.building").mkdir()
    (caches_dir / "a.h5.part").touch()

    with lock_build(caches_dir / "a.h5", is_waiting=False, console=quiet):
        during = plan(takes_unfinished=True)
    after = plan(takes_unfinished=True)

    assert during == ([], ["a.h5", "a.h5.building"])
    assert after[0] == ["a.h5", "a.h5.building", "a.h5.part", "a.h5.stamps"]


def test_what_kills_left_goes(write, plan, record, caches_dir):
    """Halves of files, and locks and stamps of caches that are no more."""
    spec = write("a.h5", 3)
    record("runs/one/run.json", {"cache_spec": spec.model_dump(mode="json")})
    left = ["a.h5.part", "a.h5.stamps.123.part"]
    left += ["b.h5.lock", "b.h5.owner", "b.h5.stamps"]
    for name in left:
        (caches_dir / name).touch()

    assert plan() == (left, ["a.h5"])


def test_remove_does_what_was_planned(write, record, caches_dir, tmp_path):
    """What was to go is gone, folders too; a second time is no error."""
    spec = write("used.h5", 3)
    write("unused.h5", 4)
    (caches_dir / "c.h5.building" / "train").mkdir(parents=True)
    record("runs/one/run.json", {"cache_spec": spec.model_dump(mode="json")})
    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=True)

    remove(pruning)

    assert files_in(caches_dir) == ["used.h5", "used.h5.stamps"]
    remove(pruning)


def test_parts_go_and_stay_with_their_cache(
    write, plan, record, caches_dir, tmp_path
):
    """Of a cache that goes, and of none; not those of one that stays."""
    spec = write("used.h5", 3, max_file_bytes=PART_BYTES)
    write("unused.h5", 4, max_file_bytes=PART_BYTES)
    record("runs/one/run.json", {"cache_spec": spec.model_dump(mode="json")})
    for name in ("used.h5.parts-2", "gone.h5.parts"):
        (caches_dir / name).mkdir()
        (caches_dir / name / "train-00000.h5").write_bytes(b"half")

    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=False)

    gone = ["unused.h5", "unused.h5.parts", "unused.h5.stamps"]
    left = ["gone.h5.parts", "used.h5.parts-2"]
    assert names(pruning.removed) == sorted(gone + left)
    (kept,) = pruning.kept
    assert kept.num_bytes == measure_cache(caches_dir / "used.h5")
    before = sum(map(count_bytes, caches_dir.iterdir()))
    remove(pruning)
    assert files_in(caches_dir) == ["used.h5", "used.h5.parts", *USED_STAMPS]
    after = sum(map(count_bytes, caches_dir.iterdir()))
    assert before - after == pruning.num_bytes
    open_cache(caches_dir / "used.h5")


def test_parts_stay_where_artifacts_are_named_from_here(
    write, record, caches_dir, tmp_path, monkeypatch
):
    """The default is a folder below the one that a command runs in."""
    spec = write("used.h5", 3, max_file_bytes=PART_BYTES)
    record("runs/one/run.json", {"cache_spec": spec.model_dump(mode="json")})
    monkeypatch.chdir(tmp_path)

    remove(plan_prune(Path("artifacts"), takes_unfinished=True))

    open_cache(caches_dir / "used.h5")


def test_parts_that_are_being_written_stay(write, plan, caches_dir, quiet):
    """No cache refers to them yet."""
    (caches_dir / "a.h5.parts").mkdir()

    with lock_build(caches_dir / "a.h5", is_waiting=False, console=quiet):
        during = plan(takes_unfinished=True)

    assert during == ([], [])
    assert plan() == (["a.h5.parts"], [])


def test_parts_that_a_build_began_since_stay(
    caches_dir, tmp_path, quiet, write
):
    """What was planned is looked at once more, with the lock of the cache."""
    folder = caches_dir / "a.h5.parts"
    folder.mkdir()
    (folder / "train-00000.h5").touch()
    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=False)
    (folder / "train-00001.h5").touch()

    with lock_build(caches_dir / "a.h5", is_waiting=False, console=quiet):
        remove(pruning)

    assert files_in(folder) == ["train-00000.h5", "train-00001.h5"]
    shutil.rmtree(folder)
    write("a.h5", 3, max_file_bytes=PART_BYTES)
    remove(pruning)
    open_cache(caches_dir / "a.h5")


def test_a_build_that_goes_on_since_keeps_its_blocks(
    caches_dir, tmp_path, quiet
):
    """And its lock and what else lies beside it."""
    (caches_dir / "a.h5.building" / "train").mkdir(parents=True)
    (caches_dir / "a.h5.part").touch()
    (caches_dir / "a.h5.lock").touch()
    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=True)

    with lock_build(caches_dir / "a.h5", is_waiting=False, console=quiet):
        done = remove(pruning)
        there = files_in(caches_dir)

    assert done.removed == ()
    assert {entry.reason for entry in done.kept} == {"it is being built"}
    assert there == [
        *("a.h5.building", "a.h5.lock", "a.h5.owner", "a.h5.part"),
    ]


def test_a_cache_that_is_trained_on_since_stays(write, caches_dir, tmp_path):
    """Runs are looked through once more, before it goes."""
    write("a.h5", 3)
    write("b.h5", 4)
    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=False)
    marker = tmp_path / "artifacts" / "runs" / ".building" / "one.json"

    with claim_cache(marker, open_cache(caches_dir / "a.h5")):
        done = remove(pruning)

    assert names(done.kept) == ["a.h5"]
    assert "a.h5" in files_in(caches_dir)
    assert "b.h5" not in files_in(caches_dir)


def test_prune_holds_the_lock_of_a_cache_whose_parts_it_removes(
    caches_dir, tmp_path, monkeypatch
):
    """No build can begin to write there meanwhile."""
    folder = caches_dir / "a.h5.parts"
    folder.mkdir()
    (folder / "train-00000.h5").touch()
    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=False)
    seen = []
    unlink = Path.unlink

    def look(path, **options):
        if path.parent == folder:
            seen.append(is_being_built(caches_dir / "a.h5"))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", look)

    remove(pruning)

    assert seen == [True]
    assert files_in(caches_dir) == []


def test_the_parts_of_a_copy_stay(write, plan, record, caches_dir):
    """Two files may have their features in one folder."""
    spec = write("a.h5", 3, max_file_bytes=PART_BYTES)
    write("b.h5", 4)
    shutil.copy(caches_dir / "a.h5", caches_dir / "copy.h5")
    record("runs/one/run.json", {"cache_spec": spec.model_dump(mode="json")})

    removed, kept = plan()

    assert (removed, kept) == (["b.h5", "b.h5.stamps"], ["a.h5", "copy.h5"])


def test_what_goes_is_counted_and_said(write, tmp_path, caches_dir):
    """Bytes in all, and a line each with size and reason."""
    write("a.h5", 3)
    num_bytes = (caches_dir / "a.h5").stat().st_size

    pruning = plan_prune(tmp_path / "artifacts", takes_unfinished=False)

    assert pruning.num_bytes == num_bytes + 10
    assert pruning.to_payload()["removed"][1] == {
        "path": str(caches_dir / "a.h5.stamps"),
        "reason": "it is left over",
        "num_bytes": 10,
    }
    first, second = pruning.to_text().splitlines()
    assert first.startswith(f"Remove {caches_dir / 'a.h5'} (")
    assert first.endswith(
        "): no run, search or comparison beside it was made on it."
    )
    assert second.endswith("a.h5.stamps (10 bytes): it is left over.")


def test_no_artifacts(tmp_path):
    """Where nothing is, nothing goes."""
    pruning = plan_prune(tmp_path / "nowhere", takes_unfinished=True)

    assert (pruning.removed, pruning.kept) == ((), ())


@pytest.fixture(name="quiet")
def _quiet():
    from embed.console import Console

    return Console(is_quiet=True)
