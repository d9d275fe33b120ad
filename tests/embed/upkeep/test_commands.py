"""Tests for `embed.upkeep.commands`."""

import json

import pytest

from tests.children import run_forked
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import read_datasets
from tests.drawn_caches import write_drawn_cache

VERIFY_KEYS = {
    *("cache", "ok", "bad_blocks", "faults", "num_rows", "num_recomputed"),
    "remark",
}


@pytest.fixture(name="run")
def _run(tmp_path):
    """Runs `python -m embed VERB ...` in `tmp_path`."""
    return lambda *arguments: run_forked(*arguments, cwd=tmp_path)


@pytest.fixture(name="caches_dir")
def _caches_dir(tmp_path):
    folder = tmp_path / "artifacts" / "caches"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(name="damage")
def _damage(tiny_cache):
    """Flips a bit of the features of the third training row."""
    original = read_datasets(tiny_cache.path)
    column = tiny_cache.seal.columns["train"]["features"]
    change_bytes(tiny_cache.path, *place_of(column, 2, 2), flip_a_bit)
    return original


def test_verify_a_good_cache(run, tiny_cache):
    """Exit code 0: every byte was read, and pictures were recomputed."""
    done = run("verify", "--json", "--sample", 5)

    assert done.returncode == 0, done.stderr
    payload = json.loads(done.stdout)
    assert payload.keys() == VERIFY_KEYS
    assert payload["cache"].endswith(tiny_cache.path.name)
    assert payload["ok"] is True
    assert (payload["bad_blocks"], payload["faults"]) == ([], [])
    assert (payload["num_rows"], payload["num_recomputed"]) == (42, 10)


def test_verify_for_people(run, tiny_cache):
    """What was good is said too, with its counts."""
    done = run("verify", tiny_cache.path, "-q")

    assert done.stdout == (
        "Good: every byte of 42 rows, and 42 pictures recomputed.\n"
    )
    assert done.stderr == ""


@pytest.mark.usefixtures("damage")
def test_verify_a_damaged_cache(run, tiny_cache):
    """Exit code 1: JSON on stdout, and one line that names the block."""
    done = run("verify", tiny_cache.path, "--json", "-q")

    assert done.returncode == 1
    payload = json.loads(done.stdout)
    assert payload["ok"] is False
    (block,) = payload["bad_blocks"]
    assert block.keys() == {"split", "block", "rows", "reason"}
    assert (block["split"], block["block"], block["rows"]) == ("train", 0, [2])
    assert done.stderr.count("\n") == 1
    assert "train block 0 (rows 0 to 255)" in done.stderr
    assert f"verify {tiny_cache.path} --repair" in done.stderr


def test_verify_repairs(run, tiny_cache, damage):
    """Exit code 0: the bad row alone was computed, and is as it was."""
    done = run("verify", tiny_cache.path, "--repair", "--json", "-q")
    again = run("verify", tiny_cache.path, "--repair", "--json", "-q")

    assert done.returncode == 0, done.stderr
    payload = json.loads(done.stdout)
    assert payload.keys() == {*VERIFY_KEYS, "repaired"}
    assert payload["ok"] is True
    assert payload["repaired"] == {
        "num_rows": 1,
        "num_identical": 1,
        "num_computed": 2,
    }
    assert_equal_datasets(read_datasets(tiny_cache.path), damage)
    assert again.returncode == 0
    assert "repaired" not in json.loads(again.stdout)


def test_verify_without_pictures(run, caches_dir):
    """Every byte is checked all the same, and what was not done is said."""
    write_drawn_cache(caches_dir / "a.h5", num_train=5)

    done = run("verify", "-q")

    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Good: every byte of 9 rows, and 0 pictures")
    assert second.startswith("No row was recomputed: ")


def test_diff(run, caches_dir):
    """Fields and pictures, as JSON and for people; a difference is exit 0."""
    for name, number in (("a.h5", 5), ("b.h5", 5), ("c.h5", 6)):
        write_drawn_cache(caches_dir / name, num_train=number)
    paths = {name: caches_dir / f"{name}.h5" for name in "abc"}

    equal = run("diff", paths["a"], paths["b"], "--json")
    other = run("diff", paths["a"], paths["c"], "--json")
    text = run("diff", paths["a"], paths["c"])

    assert (equal.returncode, other.returncode, text.returncode) == (0, 0, 0)
    payload = json.loads(other.stdout)
    assert payload.keys() == {"first", "second", "equal", "fields", "pictures"}
    assert payload["equal"] is False
    assert payload["fields"] == {
        "splits.train.num_images": {"first": 5, "second": 6}
    }
    assert payload["pictures"]["train"]["only_second"] == 1
    assert json.loads(equal.stdout)["equal"] is True
    assert text.stdout.startswith("splits.train.num_images\n  first   5\n")


def test_diff_of_no_cache(run, caches_dir):
    """Exit code 1 and one line."""
    done = run("diff", caches_dir / "a.h5", caches_dir / "b.h5")

    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no cache at ")
    assert done.stderr.count("\n") == 1


def test_prune(run, caches_dir, tmp_path):
    """A dry run removes nothing; the other does what that has said."""
    write_drawn_cache(caches_dir / "used.h5", num_train=5)
    write_drawn_cache(caches_dir / "unused.h5", num_train=6)
    (caches_dir / "c.h5.building").mkdir()
    run_dir = tmp_path / "artifacts" / "runs" / "one"
    run_dir.mkdir(parents=True)
    spec = create_spec(5).model_dump(mode="json")
    (run_dir / "run.json").write_text(json.dumps({"cache_spec": spec}))

    dry = run("prune", "--dry-run", "--json")
    before = files_in(caches_dir)
    done = run("prune", "--json")
    rest = run("prune", "--unfinished", "-q")

    payloads = [json.loads(each.stdout) for each in (dry, done)]
    for payload, is_dry in zip(payloads, (True, False), strict=True):
        assert payload.keys() == {"removed", "kept", "num_bytes", "dry_run"}
        assert payload["dry_run"] is is_dry
        (removed,) = payload["removed"]
        assert removed["path"].endswith("unused.h5")
        assert len(payload["kept"]) == 2
    assert before == ["c.h5.building", "unused.h5", "used.h5"]
    assert "no run, search or comparison beside it was made" in dry.stderr
    assert rest.stdout == "Removed 1 files and folders, 0 bytes.\n"
    assert files_in(caches_dir) == ["used.h5"]


def test_list(run, caches_dir):
    """A row each as JSON, a line each for people."""
    write_drawn_cache(caches_dir / "a.h5", num_train=5)
    (caches_dir / "b.h5.building").mkdir()

    as_json = run("list", "--json")
    text = run("list")

    whole, unfinished = json.loads(as_json.stdout)["caches"]
    assert whole.keys() == {
        *("cache", "status", "num_bytes", "age_seconds", "fingerprint"),
        *("dataset", "backbone", "num_images", "num_views"),
    }
    assert whole["status"] == "complete"
    assert unfinished["status"] == "unfinished"
    assert [line.split()[0] for line in text.stdout.splitlines()] == [
        "cache",
        "a.h5",
        "b.h5.building",
    ]


def test_info(run, caches_dir):
    """The newest cache, as JSON and as lines; without one exit code 1."""
    missing = run("info")
    write_drawn_cache(caches_dir / "a.h5", num_train=5)

    as_json = run("info", "--json")
    text = run("info")

    assert missing.returncode == 1
    assert missing.stderr.startswith("error: There is no feature cache in ")
    facts = json.loads(as_json.stdout)
    assert facts["num_images"] == {"train": 5, "test": 4}
    assert facts["provenance"]["attempts"][0]["num_views"] == 600
    assert f"fingerprint: {facts['fingerprint']}\n" in text.stdout
