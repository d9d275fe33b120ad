"""Tests for `head.refit` and `head.run`."""

import contextlib
import csv
import json

import numpy as np
import pytest

from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.console import Console
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.splits import Selection
from embed.splits import split_train
from head.ensemble import train_members
from head.evaluating.calibration import fit_temperature
from head.refit import has_run
from head.refit import train_run
from head.run import find_run
from head.run import load_run
from head.spec import HeadSpec
from head.training.train import train_head

SPEC = HeadSpec(epochs=3)


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    """The folder that the tiny cache lies in."""
    return tmp_path / "artifacts"


@pytest.fixture(name="run")
def _run(tiny_cache, artifacts_dir):
    """A finished run on the tiny cache."""
    return train_run(tiny_cache, SPEC, seed=0, artifacts_dir=artifacts_dir)


def test_the_head_is_refit_on_train_and_validation(run, tiny_cache):
    """The stored head is, bit by bit, the one trained on all train rows."""
    refit = train_head(
        SPEC,
        train=tiny_cache.take(Selection("train")),
        val=None,
        num_classes=3,
        seed=0,
    )

    for stored, expected in zip(
        run.load_head().get_weights(), refit.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(stored, expected)


def test_validation_accuracy_is_that_before_the_refit(run, tiny_cache):
    """The reported number comes from a head that never saw those rows."""
    split = split_train(tiny_cache.image_ids("train"))
    watched = train_head(
        SPEC,
        train=tiny_cache.take(split.train),
        val=tiny_cache.take(split.val),
        num_classes=3,
        seed=0,
    )

    assert run.record.val_accuracy == watched.history["val_accuracy"][-1]
    assert run.record.num_train + run.record.num_val == 30


@pytest.mark.parametrize("others", [(), (HeadSpec(epochs=1),)])
def test_the_temperature_is_that_of_the_validation_rows(
    tiny_cache, artifacts_dir, others, monkeypatch
):
    """Of the head before the refit, on view 0; of an ensemble, of the whole.

    The test split is not read at all.
    """
    split = split_train(tiny_cache.image_ids("train"))
    val = tiny_cache.take(split.val)
    spec = SPEC.model_copy(update={"others": others})
    heads = train_members(
        spec, train=tiny_cache.take(split.train), val=val, num_classes=3, seed=0
    )
    logits = np.mean([h.model(val.features[:, 0]) for h in heads], axis=0)

    taken = []
    take = FeatureCache.take

    def watch(cache, selection, **options):
        taken.append(selection.split)
        return take(cache, selection, **options)

    monkeypatch.setattr(FeatureCache, "take", watch)

    run = train_run(tiny_cache, spec, seed=0, artifacts_dir=artifacts_dir)

    assert set(taken) == {"train"}
    expected = fit_temperature(logits, val.labels)
    assert run.record.temperature == pytest.approx(expected, rel=1e-4)
    assert load_run(run.directory).record.temperature == run.record.temperature
    assert expected != 1


def test_a_run_of_before_there_was_a_temperature_is_read(run):
    """It goes on to be evaluated and exported, uncalibrated."""
    path = run.directory / "run.json"
    record = json.loads(path.read_text())
    del record["temperature"]
    path.write_text(json.dumps(record))

    assert load_run(run.directory).record.temperature is None


def test_a_run_may_stay_behind_another(run, tiny_cache, artifacts_dir):
    """Neither when it is trained nor when it is found it is the newest."""
    for is_there in (False, True):
        found = has_run(tiny_cache, SPEC, seed=1, artifacts_dir=artifacts_dir)
        assert found == is_there
        other = train_run(
            tiny_cache, SPEC, seed=1, artifacts_dir=artifacts_dir, behind=run
        )

        assert other.record.seed == 1
        assert find_run(artifacts_dir, None).directory == run.directory


def test_a_run_leaves_its_history_and_pictures(run):
    """Curves, training images and a row an epoch lie beside the head."""
    with (run.directory / "history.csv").open() as file:
        epochs = [row["epoch"] for row in csv.DictReader(file)]

    assert epochs == ["1", "2", "3"]
    for name in ("learning-curves.png", "training-images.png"):
        assert (run.directory / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_run_is_not_done_twice(run, tiny_cache, artifacts_dir):
    """Asked for again, a run is found and becomes the newest."""
    other = train_run(tiny_cache, SPEC, seed=1, artifacts_dir=artifacts_dir)
    assert find_run(artifacts_dir, None).directory == other.directory

    again = train_run(tiny_cache, SPEC, seed=0, artifacts_dir=artifacts_dir)

    assert again.record == run.record
    assert find_run(artifacts_dir, None).directory == run.directory


def test_a_winner_is_the_run_of_its_recipe(run, tiny_cache, artifacts_dir):
    """What a spec was chosen on makes no other run of the same training."""
    chosen = HeadSpec(
        epochs=3, fingerprint=tiny_cache.fingerprint, chosen_on=tiny_cache.spec
    )

    again = train_run(tiny_cache, chosen, seed=0, artifacts_dir=artifacts_dir)

    assert again == run


def test_a_run_survives_without_its_pictures(
    tiny_cache, artifacts_dir, picture_folder
):
    """Training needs the cache alone; only the pictures stay undrawn."""
    picture_folder.rename(picture_folder.with_name("gone"))

    run = train_run(tiny_cache, SPEC, seed=0, artifacts_dir=artifacts_dir)

    assert (run.directory / "learning-curves.png").exists()
    assert not (run.directory / "training-images.png").exists()


def test_a_spec_of_another_cache_is_refused(tiny_cache, artifacts_dir):
    """A winner is trained on the cache it won on, or not at all."""
    spec = HeadSpec(fingerprint="0" * 16)

    with pytest.raises(StaleCacheError, match="python -m tune search") as error:
        train_run(tiny_cache, spec, seed=0, artifacts_dir=artifacts_dir)

    assert tiny_cache.fingerprint in str(error.value)


def test_a_cache_of_other_views_is_refused(run, tiny_request, tmp_path):
    """The error names the field that differs, both values and the command."""
    import dataclasses

    plain = build_cache(
        dataclasses.replace(tiny_request, views=("plain",)),
        artifacts_dir=tmp_path / "other",
    )

    with pytest.raises(StaleCacheError, match="python -m head train") as error:
        run.require_cache(open_cache(plain.cache.path))

    assert "views=['plain', 'flip']" in str(error.value)
    assert "views=['plain']" in str(error.value)


def test_no_run_says_how_to_make_one(tmp_path):
    """An empty artifacts folder is an error with the next command."""
    with pytest.raises(MissingArtifactError, match="python -m head train"):
        find_run(tmp_path, None)


def test_a_foreign_record_is_one_error(run):
    """A damaged `run.json` is named, without a traceback."""
    (run.directory / "run.json").write_text("{}")

    with pytest.raises(PipelineError, match="--overwrite"):
        load_run(run.directory)


def test_a_failed_run_leaves_the_old_one(run, tiny_cache, artifacts_dir):
    """A disk that refuses the new files keeps the old, and no half."""
    part = run.directory.with_name(run.directory.name + ".part")
    part.write_text("in the way")

    with pytest.raises(OSError, match="exists"):
        train_run(
            tiny_cache,
            SPEC,
            seed=0,
            artifacts_dir=artifacts_dir,
            is_overwrite=True,
        )

    assert load_run(run.directory).record == run.record


@pytest.mark.parametrize(
    "spec",
    [
        SPEC.model_copy(update={"batch_size": 4}),
        HeadSpec(epochs=2, batch_size=4, others=(HeadSpec(batch_size=3),)),
    ],
    ids=["one head", "two heads"],
)
def test_a_run_that_streams_is_the_same_run(
    run, tiny_cache, artifacts_dir, spec
):
    """Whether rows are in memory does not show in what is left."""
    held, streamed = (
        train_run(
            tiny_cache,
            spec,
            seed=0,
            artifacts_dir=artifacts_dir / str(memory_limit),
            memory_limit=memory_limit,
        )
        for memory_limit in (10**6, 600)
    )

    assert streamed.directory.name == held.directory.name
    assert streamed.record.val_accuracy == held.record.val_accuracy
    assert streamed.record.temperature == held.record.temperature
    for found, expected in zip(
        streamed.load_head().get_weights(),
        held.load_head().get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_rows_are_in_memory_once(tiny_cache, artifacts_dir, watch_cache):
    """Those of the first training are gone before the refit reads all."""
    watched = watch_cache(tiny_cache)

    train_run(watched, SPEC, seed=0, artifacts_dir=artifacts_dir)

    assert len(watched.taken) == 3
    whole = tiny_cache.take(Selection("train")).features.nbytes
    assert watched.most_bytes <= whole + 2 * 64  # To where it can be shared.


def test_an_ensemble_takes_no_more_memory(
    tiny_cache, artifacts_dir, watch_cache
):
    """Its members are trained on the same rows, one after the other."""
    watched = watch_cache(tiny_cache)
    spec = SPEC.model_copy(update={"others": (SPEC, SPEC)})

    train_run(watched, spec, seed=0, artifacts_dir=artifacts_dir)

    assert len(watched.taken) == 3
    whole = tiny_cache.take(Selection("train")).features.nbytes
    assert watched.most_bytes <= whole + 2 * 64  # To where it can be shared.


def test_progress_counts_the_epochs_of_all_members(tiny_cache, artifacts_dir):
    """Watched and refit, however many each of them takes."""
    console = CountingConsole()
    others = (HeadSpec(epochs=1), HeadSpec(epochs=4))
    spec = SPEC.model_copy(update={"others": others})

    train_run(
        tiny_cache, spec, seed=0, artifacts_dir=artifacts_dir, console=console
    )

    assert console.total == console.num_done == 2 * (3 + 1 + 4)


def test_a_single_head_has_no_members_in_its_record(run):
    """Its accuracy is its own."""
    assert run.record.member_val_accuracies == ()


class CountingConsole(Console):
    """Counts what is reported to be done."""

    def __init__(self):
        super().__init__(is_quiet=True)
        self.total = self.num_done = 0

    @contextlib.contextmanager
    def progress(self, task, total, unit, done=0):
        """Notes how much there is to do."""
        self.total = total
        yield self

    def advance(self, amount=1, note=""):
        """Counts it."""
        self.num_done += amount


class ClaimConsole(Console):
    """Looks when training begins at what is claimed below the runs."""

    def __init__(self, artifacts_dir, error=None):
        super().__init__(is_quiet=True)
        self._claims_dir, self._error = artifacts_dir / "runs/.building", error
        self.claims = []

    @contextlib.contextmanager
    def progress(self, *arguments, **options):
        """Notes the claims, and then may end it all."""
        for path in self._claims_dir.iterdir():
            fingerprint = json.loads(path.read_text())["fingerprint"]
            self.claims.append((path.stem.rpartition("-")[0], fingerprint))
        if self._error is not None:
            raise self._error
        with super().progress(*arguments, **options) as progress:
            yield progress


def test_a_cache_is_claimed_while_a_head_is_trained(tiny_cache, artifacts_dir):
    """`embed prune` keeps it meanwhile; the record then takes its place."""
    console = ClaimConsole(artifacts_dir)

    run = train_run(
        tiny_cache, SPEC, seed=0, artifacts_dir=artifacts_dir, console=console
    )

    assert console.claims == [(run.directory.name, tiny_cache.fingerprint)]
    assert list((artifacts_dir / "runs" / ".building").iterdir()) == []


def test_a_training_that_fails_claims_nothing(tiny_cache, artifacts_dir):
    """Nor does one that is interrupted."""
    console = ClaimConsole(artifacts_dir, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        train_run(
            tiny_cache,
            SPEC,
            seed=0,
            artifacts_dir=artifacts_dir,
            console=console,
        )

    assert len(console.claims) == 1
    assert list((artifacts_dir / "runs" / ".building").iterdir()) == []
