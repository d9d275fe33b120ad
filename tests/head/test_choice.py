"""Tests for `head.choice`."""

import dataclasses
import os
from pathlib import Path

import pytest

from embed.console import Console
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.spec import SplitSpec
from head.choice import choose_spec
from head.choice import find_or_train_run
from head.refit import train_run
from head.run import load_run
from head.spec import HeadSpec
from head.spec import format_best

QUIET = Console(is_quiet=True)


def write_best(artifacts_dir, name, spec, *, age_seconds=0):
    """Leaves what a search leaves."""
    folder = artifacts_dir / "searches" / name
    folder.mkdir(parents=True)
    path = folder / "best.json"
    path.write_text(spec.to_json())
    moment = path.stat().st_mtime - age_seconds
    os.utime(path, (moment, moment))
    return path


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    """The folder that the tiny cache lies in."""
    return tmp_path / "artifacts"


@pytest.fixture(name="winner")
def _winner(tiny_cache):
    """A spec chosen on the tiny cache."""
    return HeadSpec(epochs=2, dropout=0.1, fingerprint=tiny_cache.fingerprint)


def test_without_a_search_the_reference_is_trained(tiny_cache, artifacts_dir):
    """A newcomer's first `head train` is the published recipe."""
    spec, origin = choose_spec(artifacts_dir, tiny_cache, None, None)

    assert spec == HeadSpec()
    assert "reference" in origin


def test_the_newest_winner_that_fits_is_taken(
    tiny_cache, artifacts_dir, winner
):
    """A newer search on another cache does not count."""
    write_best(artifacts_dir, "fits", winner, age_seconds=10)
    write_best(artifacts_dir, "other", HeadSpec(fingerprint="0" * 16))

    spec, origin = choose_spec(artifacts_dir, tiny_cache, None, None)

    assert spec == winner
    assert "fits" in origin


def test_a_winner_that_was_chosen_on_a_sample_says_so(
    tiny_cache, artifacts_dir, winner
):
    """And that it is trained on more; by default as by name."""
    path = write_best(artifacts_dir, "fits", winner)
    path.write_text(format_best(winner, tiny_cache.spec, 8))
    num_images = tiny_cache.num_images["train"]

    origins = [
        choose_spec(artifacts_dir, tiny_cache, spec_path, None)[1]
        for spec_path in (None, path)
    ]

    for origin in origins:
        assert origin.endswith(
            f"chosen on a sample of 8 images and trained on all {num_images}"
        )


def test_pictures_that_were_left_out_are_not_trained_on(tmp_path, draw_cache):
    """A spec has all pictures of a data set, the cache those that are good."""
    splits = {
        split: SplitSpec(num_images=number + 2, digest="d" * 64)
        for split, number in (("train", 60), ("test", 30))
    }
    cache = draw_cache(tmp_path / "cache.h5", splits=splits)
    winner = HeadSpec(fingerprint=cache.fingerprint)
    path = write_best(tmp_path, "fits", winner)
    path.write_text(format_best(winner, cache.spec, 8))

    _, origin = choose_spec(tmp_path, cache, None, None)

    assert origin.endswith("trained on all 60")


def test_a_recipe_by_name_wins_over_a_search(tiny_cache, artifacts_dir, winner):
    """`--recipe reference` means it."""
    write_best(artifacts_dir, "fits", winner)

    spec, _ = choose_spec(artifacts_dir, tiny_cache, None, "reference")

    assert spec == HeadSpec()


def test_export_trains_a_winner_newer_than_the_last_run(
    tiny_cache, artifacts_dir, winner
):
    """Search then export needs no `head train` between them."""
    old = train_run(
        tiny_cache, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir
    )
    os.utime(old.directory / "run.json", (1, 1))
    write_best(artifacts_dir, "fits", winner)

    run, cache = find_or_train_run(
        artifacts_dir, None, None, seed=3, console=QUIET
    )

    assert (run.record.spec, run.record.seed) == (winner, 3)
    assert cache.path == tiny_cache.path


def test_export_takes_a_run_newer_than_the_last_winner(
    tiny_cache, artifacts_dir, winner
):
    """What was trained last is what is exported."""
    write_best(artifacts_dir, "fits", winner, age_seconds=10)
    last = train_run(
        tiny_cache, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir
    )

    run, _ = find_or_train_run(artifacts_dir, None, None, seed=0, console=QUIET)

    assert run.directory == last.directory


def test_a_run_that_is_named_does_not_depend_on_others(
    tiny_cache, artifacts_dir
):
    """One of another version beside it is nobody's business."""
    run = train_run(
        tiny_cache, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir
    )
    other = run.directory.parent / "other"
    other.mkdir()
    (other / "run.json").write_bytes(b"\xff\xfe{}")

    found, _ = find_or_train_run(
        artifacts_dir, run.directory, None, seed=0, console=QUIET
    )

    assert found == run
    with pytest.raises(PipelineError, match="no run of this version"):
        find_or_train_run(artifacts_dir, other, None, seed=0, console=QUIET)


def test_a_run_that_is_named_from_inside_has_its_name(
    tiny_cache, artifacts_dir, monkeypatch
):
    """`--run .` is called like its folder, as its export is."""
    run = train_run(
        tiny_cache, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir
    )
    inside = run.directory / "plots"
    inside.mkdir()

    for folder, path in ((run.directory, "."), (inside, "..")):
        monkeypatch.chdir(folder)
        assert load_run(Path(path)).directory.name == run.directory.name


def test_a_damaged_head_is_one_error(tiny_cache, artifacts_dir):
    """Whatever Keras and zipfile raise of it."""
    run = train_run(
        tiny_cache, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir
    )
    data = bytearray((run.directory / "head.keras").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (run.directory / "head.keras").write_bytes(data)

    with pytest.raises(MissingArtifactError, match="--overwrite"):
        run.load_head()


def test_nothing_to_export_names_the_next_command(tmp_path):
    """An empty folder is an error, not a traceback."""
    with pytest.raises(MissingArtifactError, match="python -m head train"):
        find_or_train_run(tmp_path, None, None, seed=0, console=QUIET)


def test_with_a_cache_the_runs_of_others_do_not_count(
    tiny_cache, tiny_request, artifacts_dir, winner, tmp_path
):
    """A newer run on another cache does not hide a winner that fits."""
    write_best(artifacts_dir, "fits", winner, age_seconds=10)
    plain = build_cache(
        dataclasses.replace(tiny_request, views=("plain",)),
        artifacts_dir=tmp_path / "other",
    ).cache
    train_run(plain, HeadSpec(epochs=1), seed=0, artifacts_dir=artifacts_dir)

    run, _ = find_or_train_run(
        artifacts_dir,
        None,
        tiny_cache.path,
        seed=None,
        console=QUIET,
    )

    assert run.record.spec == winner


def test_a_winner_of_another_cache_is_refused_by_field(
    tiny_cache, tiny_request, artifacts_dir, winner, tmp_path
):
    """Where nothing fits, export says how the last winner's cache differs."""
    path = write_best(artifacts_dir, "other", winner)
    path.write_text(format_best(winner, tiny_cache.spec))
    plain = build_cache(
        dataclasses.replace(tiny_request, views=("plain",)),
        artifacts_dir=tmp_path / "other",
    ).cache

    with pytest.raises(StaleCacheError, match=r"Received: views=.*--cache "):
        find_or_train_run(
            artifacts_dir,
            None,
            plain.path,
            seed=None,
            console=QUIET,
        )


def test_a_seed_that_is_asked_for_is_exported(tiny_cache, artifacts_dir):
    """Another seed than the last run's has its spec trained again."""
    spec = HeadSpec(epochs=1)
    train_run(tiny_cache, spec, seed=0, artifacts_dir=artifacts_dir)

    run, _ = find_or_train_run(artifacts_dir, None, None, seed=1, console=QUIET)

    assert (run.record.spec, run.record.seed) == (spec, 1)
