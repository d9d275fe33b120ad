"""Tests for `tune.search_rows`: searches on a sample of the rows."""

import json

import h5py
import numpy as np
import pytest

from embed.cache import open_cache
from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import PipelineError
from embed.rows import DIGEST_BYTES
from embed.spec import SplitSpec
from embed.spec import digest_rows
from embed.splits import Selection
from embed.storage.writer import FeatureRows
from embed.storage.writer import SplitContent
from embed.storage.writer import write_cache
from head.refit import train_run
from head.report.cost import count_cost
from head.report.search_table import find_search_table
from head.spec import load_spec
from tests.stopping_console import StoppingConsole
from tune import cli
from tune.search_rows import SearchRows
from tune.spec import SearchSpec
from tune.table import format_table

NUM_TRAIN = 300
ROWS = 100
ROW_BYTES = 2 * 8 * 4  # Two views of eight float32.


@pytest.fixture(name="cache")
def _cache(make_cache):
    """300 training images of 3 classes that overlap."""
    return make_cache("larger.h5", num_train=NUM_TRAIN)


@pytest.fixture(name="sample")
def _sample(cache):
    """The rows of a sample of 100, ascending."""
    return find_sample(cache)


def find_sample(cache, rows=ROWS, **options):
    """Returns the row numbers of a sample, ascending."""
    [split] = create_rows(cache, rows, **options).splits
    return np.sort(np.concatenate([split.train.rows, split.val.rows]))


def create_rows(cache, rows, memory_limit=10**6, console=None):
    """Returns the rows of a search on a sample."""
    spec = SearchSpec.of(
        cache,
        oracle="random",
        max_trials=1,
        max_epochs=1,
        parallel=1,
        rows=rows,
        seed=0,
    )
    return SearchRows(
        cache,
        spec,
        memory_limit=memory_limit,
        console=console or Console(is_quiet=True),
    )


def scores_of(result):
    """Returns what trials came to, less what tells two caches apart."""
    return {
        trial.trial_id: (
            trial.spec.with_fingerprint(None),
            trial.val_accuracy,
            trial.val_loss,
        )
        for trial in result.trials
    }


def write_part(path, cache, rows):
    """Writes a cache that holds some training rows of another one alone."""
    contents, splits = {}, {}
    for split, some in (("train", rows), ("test", None)):
        taken = cache.take(Selection(split, some))
        features = FeatureRows(
            features=taken.features,
            content_digests=np.zeros((len(taken), DIGEST_BYTES), np.uint8),
            is_oriented=np.zeros(len(taken), np.bool_),
        )
        contents[split] = SplitContent(
            image_ids=taken.image_ids,
            labels=taken.labels,
            read=lambda features=features: iter([features]),
        )
        splits[split] = SplitSpec(
            num_images=len(taken),
            digest=digest_rows(taken.image_ids, taken.labels),
        )
    write_cache(
        path,
        spec=cache.spec.model_copy(update={"splits": splits}),
        provenance=cache.provenance,
        feature_dim=cache.feature_dim,
        splits=contents,
    )
    return open_cache(path)


def damage_others(cache, rows):
    """Changes the features of all rows but some, and of all test images."""
    others = np.setdiff1d(np.arange(cache.num_images["train"]), rows)
    with h5py.File(cache.path, "r+") as file:
        features = file["train/features"][:]
        features[others] += 1
        file["train/features"][:] = features
        file["test/features"][:] += 1
    return open_cache(cache.path)


def test_a_search_on_a_sample_is_one_on_a_cache_of_these_rows(
    search, cache, sample, tmp_path
):
    """Each trial and baseline has the scores that it has where no others are.

    Other rows, and the test split, are damaged, which would be noticed if one
    of them were read.
    """
    part = write_part(tmp_path / "part.h5", cache, sample)
    options = {"max_trials": 1, "max_epochs": 2, "has_baselines": True}
    expected = search(cache=part, **options)
    damaged = damage_others(cache, sample)

    result = search(cache=damaged, rows=ROWS, **options)

    assert scores_of(result) == scores_of(expected)
    assert [b.val_accuracy for b in result.baselines] == [
        b.val_accuracy for b in expected.baselines
    ]
    assert result.summary.num_images == len(sample) == ROWS
    with pytest.raises(CorruptCacheError):
        search(cache=damaged, **options)


@pytest.mark.usefixtures("train_at_once")
@pytest.mark.parametrize("options", [{"folds": 3}, {"num_seeds": 3}])
def test_folds_and_seeds_read_the_sample_alone(search, cache, options):
    """Whatever else a search does, it has no other rows."""
    spec = search(cache=cache, rows=ROWS, **options).summary.spec
    rows = SearchRows(
        cache, spec, memory_limit=10**6, console=Console(is_quiet=True)
    )
    sample = np.concatenate([split.val.rows for split in rows.splits])
    if spec.folds == 1:
        sample = np.concatenate([sample, rows.splits[0].train.rows])
    damaged = damage_others(cache, sample)

    again = search(cache=damaged, rows=ROWS, is_overwrite=True, **options)

    assert len(sample) == ROWS
    assert again.summary.num_trials == 5
    assert len(again.seeds) == (5 if "num_seeds" in options else 0)


def test_the_sample_is_read_once_and_held(cache, sample):
    """Until it is let go; then it is read again, and is the same."""
    rows = create_rows(cache, ROWS)
    [(train, val)] = rows.folds

    assert rows.folds[0][0] is train
    assert sorted([*train.image_ids, *val.image_ids]) == sorted(
        cache.image_ids("train")[row] for row in sample
    )
    rows.release()
    [(again, _)] = rows.folds
    assert again is not train
    np.testing.assert_array_equal(again.features, train.features)


@pytest.mark.usefixtures("train_at_once")
def test_another_sample_is_another_search(search, cache, train_at_once):
    """As many rows as there are, or more, are the search on all."""
    whole = search(cache=cache)
    first = search(cache=cache, rows=ROWS)
    second = search(cache=cache, rows=ROWS + 1)
    num_trained = len(train_at_once)

    assert len({whole.path, first.path, second.path}) == 3
    for rows in (NUM_TRAIN, 10**9):
        assert search(cache=cache, rows=rows).path == whole.path
    assert search(cache=cache, rows=ROWS).path == first.path
    assert len(train_at_once) == num_trained


def test_an_interrupted_search_goes_on_with_its_sample(
    search, cache, train_at_once
):
    """It ends with the table of one that was not interrupted."""
    options = {"cache": cache, "rows": ROWS, "is_overwrite": True}
    whole = search(**options)
    train_at_once.clear()
    with pytest.raises(KeyboardInterrupt):
        search(**options, console=StoppingConsole(3))

    resumed = search(**options)

    assert scores_of(resumed) == scores_of(whole)
    assert len(train_at_once) == 6


def test_a_sample_is_held_where_the_cache_is_not(search, cache, capsys):
    """So that baselines run; without it the search says what would fit."""
    options = {
        "cache": cache,
        "max_trials": 1,
        "max_epochs": 1,
        "has_baselines": True,
        "memory_limit": NUM_TRAIN * ROW_BYTES - 1,
    }
    streamed = search(**options, console=Console())
    said = capsys.readouterr().err

    held = search(**options, rows=ROWS, console=Console())

    assert "No baselines" in said
    assert said.count("`--rows 110`, which is another search.\n") == 1
    assert streamed.baselines == []
    assert len(held.baselines) == 4
    said = capsys.readouterr().err
    assert "holds a sample of 100 rows in memory: its 6.4 kB are" in said
    assert "validation images, a sample of the 300, " in said
    assert "--rows" not in said


def test_a_sample_that_does_not_fit_is_streamed(search, cache, capsys):
    """To the scores that it has from memory."""
    options = {"cache": cache, "rows": 270, "max_trials": 1, "max_epochs": 1}
    held = search(**options)

    streamed = search(
        **options,
        memory_limit=270 * ROW_BYTES - 1,
        is_overwrite=True,
        console=Console(),
    )

    for found, trial in zip(streamed.trials, held.trials, strict=True):
        assert found.val_accuracy == trial.val_accuracy
        assert found.val_loss == pytest.approx(trial.val_loss)
    said = capsys.readouterr().err
    assert "streams a sample of 270 rows from the cache" in said
    assert "`--rows 100`" in said


@pytest.mark.usefixtures("train_at_once")
def test_a_search_that_is_refused_leaves_nothing(search, cache, tmp_path):
    """Too few rows are said before anything is written."""
    with pytest.raises(PipelineError, match="`--rows 6`"):
        search(cache=cache, rows=5)

    found = (tmp_path / "artifacts" / "searches").rglob("*")
    assert [path.name for path in found if path.suffix != ".lock"] == [
        ".building"
    ]


def test_the_winner_is_trained_on_all_rows(search, cache, tmp_path):
    """Refit on train and validation, from a stream as from memory.

    The run's search is found by the report, which counts its epochs as those
    of the sample.
    """
    artifacts_dir = tmp_path / "artifacts"
    result = search(cache=cache, rows=ROWS, max_trials=1, max_epochs=3)
    spec = load_spec(result.best_path)

    held, streamed = (
        train_run(
            cache,
            spec,
            seed=0,
            artifacts_dir=folder,
            memory_limit=memory_limit,
        )
        for folder, memory_limit in (
            (artifacts_dir, 10**6),
            (tmp_path / "streamed", NUM_TRAIN * ROW_BYTES - 1),
        )
    )

    assert spec.chosen_on_rows == ROWS
    assert held.record.num_train + held.record.num_val == NUM_TRAIN
    assert streamed.record.val_accuracy == held.record.val_accuracy
    for found, expected in zip(
        streamed.load_head().get_weights(),
        held.load_head().get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    table = find_search_table(artifacts_dir, held)
    assert table.directory == result.path
    assert table.num_sampled == ROWS
    cost = count_cost(held, cache, table)
    assert (cost.num_images, cost.num_searched) == (NUM_TRAIN, ROWS)


@pytest.mark.usefixtures("train_at_once")
def test_the_table_says_on_how_many_images(search, cache):
    """Of a sample alone."""
    of_sample = format_table(search(cache=cache, rows=ROWS))
    of_all = format_table(search(cache=cache))

    assert "a sample of 100 of the 300 images of the train split" in of_sample
    assert "python -m head train" in of_sample
    assert "sample" not in of_all


@pytest.mark.usefixtures("train_at_once")
def test_the_command_searches_on_a_sample(cache, tmp_path, capfd):
    """Both say how many images that were; a bad number is one line."""
    artifacts = ["--artifacts", str(tmp_path / "artifacts")]
    search = ["search", "--cache", str(cache.path), "--max-trials", "2"]

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.app([*words, *artifacts])
        return ended.value.code, *capfd.readouterr()

    code, out, _ = run(*search, "--rows", "100", "--json")
    answer = json.loads(out)
    results = json.loads(run("results", "--json")[1])
    too_few, _, error = run(*search, "--rows", "5")
    none, _, _ = run(*search, "--rows", "0")

    assert (code, answer["num_images"]) == (0, ROWS)
    assert results["search"] == answer["search"]
    assert results["spec"]["rows"] == ROWS
    assert (too_few, none) == (1, 2)
    assert error.count("\n") == 1
    assert error.startswith("error: The sample of the cache ")
