"""Tests for `tune.comparing.compare`."""

import shutil

import numpy as np
import pytest

from embed.console import Console
from embed.errors import PipelineError
from embed.splits import split_train
from embed.storage.part_folders import find_folder
from embed.storage.part_folders import measure_cache
from embed.upkeep.prune import plan_prune
from head.spec import HeadSpec
from head.training.train import train_head
from tests.stopping_console import StoppingConsole
from tune.comparing.compare import PICTURE
from tune.comparing.compare import RECORD
from tune.comparing.compare import compare_heads

QUICK = HeadSpec(epochs=3, learning_rate=0.05)
SEEDS = (3, 4)
NUM_TRAIN = 150
FILE_BYTES = 40_000  # Less than the features of 700 images.
OTHER = {"backbone": "keras:Other", "weights_digest": "v" * 64}


@pytest.fixture(name="pair")
def _pair(make_cache):
    """Two caches of the same pictures; the second has other features.

    Their rows are drawn alike, and the width of the classes' clouds is not.
    """
    return [
        make_cache("a.h5", num_train=NUM_TRAIN),
        make_cache("b.h5", num_train=NUM_TRAIN, noise=6.0, **OTHER),
    ]


@pytest.fixture(name="compare")
def _compare(tmp_path):
    """Compares caches with a quick head, options by name."""

    def compare(caches, **options):
        options = {"spec": QUICK, "seeds": SEEDS, **options}
        return compare_heads(
            caches, artifacts_dir=tmp_path / "artifacts", **options
        )

    return compare


def test_every_seed_is_a_training_like_any_other(pair, compare):
    """The figures are those of `train_head` on the same rows and seed."""
    _, comparison = compare(pair)

    cache = pair[0]
    split = split_train(cache.image_ids("train"))
    train, val = cache.take(split.train), cache.take(split.val)
    expected = [
        train_head(
            QUICK, train=train, val=val, num_classes=3, seed=seed
        ).history["val_accuracy"][-1]
        for seed in SEEDS
    ]
    first = comparison.caches[0]
    assert first.val_accuracies == pytest.approx(tuple(expected))
    assert first.val_accuracy == pytest.approx(np.mean(expected))
    assert comparison.num_val == len(val)


def test_the_difference_is_one_of_pairs(pair, compare):
    """A cache differs from itself by nothing, whatever images are drawn."""
    clear, noisy = compare(pair)[1].caches
    _, same = compare([pair[0], pair[0]])[1].caches

    assert same.difference == 0
    assert same.difference_interval == (0, 0)
    assert clear.difference is None
    assert noisy.difference == pytest.approx(
        noisy.val_accuracy - clear.val_accuracy
    )
    low, high = noisy.difference_interval
    assert low <= noisy.difference <= high < 0


def test_the_mean_lies_within_its_interval(pair, compare):
    """And the interval of some dozen images is wide."""
    for found in compare(pair)[1].caches:
        low, high = found.interval
        assert low <= found.val_accuracy <= high
        assert high - low > 0.05


def test_the_test_split_is_not_read(pair, compare, monkeypatch):
    """Test rows that raise are not noticed."""
    real = type(pair[0])._read

    def read(cache, split, name, rows):
        if split == "test" and name == "features":
            raise AssertionError("The test split was read.")
        return real(cache, split, name, rows)

    monkeypatch.setattr(type(pair[0]), "_read", read)

    assert len(compare(pair)[1].caches) == 2


def test_a_stream_comes_to_the_same(pair, compare):
    """Above the memory limit; but for ridge, which needs the rows."""
    _, held = compare(pair)
    _, streamed = compare(pair, memory_limit=9_000, is_overwrite=True)

    for one, other in zip(held.caches, streamed.caches, strict=True):
        assert one.val_accuracies == other.val_accuracies
        assert one.interval == other.interval
        assert one.ridge_accuracy is not None
        assert other.ridge_accuracy is None


def test_what_was_done_is_found_again(pair, compare, monkeypatch):
    """Nothing is trained, and another seed is another comparison."""
    folder, done = compare(pair)
    (folder / PICTURE).unlink()
    monkeypatch.delattr("tune.comparing.contest.train_members")

    again_folder, again = compare(pair)

    assert (again_folder, again) == (folder, done)
    assert not (folder / PICTURE).exists()
    with pytest.raises(NameError):
        compare(pair, seeds=(5,))


def test_a_record_that_cannot_be_read_is_named(pair, compare):
    """The way out is to do it again."""
    folder, _ = compare(pair)
    (folder / RECORD).write_text("{}")

    with pytest.raises(PipelineError, match="--overwrite"):
        compare(pair)


def test_a_spec_chosen_on_one_cache_is_a_recipe_for_all(pair, compare):
    """What it was chosen on is left out, and the training is the same."""
    chosen = QUICK.with_fingerprint(pair[0].fingerprint)

    assert compare(pair, spec=chosen)[0] == compare(pair)[0]


def test_one_cache_is_nothing_to_compare(pair, compare):
    """The error says how to name more."""
    with pytest.raises(PipelineError, match="--cache PATH"):
        compare(pair[:1])


def test_each_cache_is_named_while_it_is_trained_on(pair, compare, capsys):
    """Remarks go to stderr."""
    compare(pair, console=Console())

    text = capsys.readouterr().err
    assert [str(c.path) in text for c in pair] == [True, True]


def test_caches_are_claimed_until_their_comparison_is_done(
    pair, compare, tmp_path
):
    """Also of one that was interrupted and can go on."""
    with pytest.raises(KeyboardInterrupt):
        compare(pair, console=StoppingConsole(1))

    claimed = plan_prune(tmp_path / "artifacts", takes_unfinished=False)
    [claim, _] = (tmp_path / "artifacts").rglob("cache-*.json")
    shutil.rmtree(claim.parent)
    freed = plan_prune(tmp_path / "artifacts", takes_unfinished=False)

    assert {entry.path for entry in claimed.kept} == {c.path for c in pair}
    assert freed.kept == ()


def test_the_same_is_compared_by_one(pair, compare):
    """The other is told, and nothing of the first is lost."""

    class Second(Console):
        def say(self, text):
            with pytest.raises(PipelineError, match="by another process"):
                compare(pair)

    folder, _ = compare(pair, console=Second())

    assert (folder / RECORD).is_file()


def test_the_parts_of_a_cache_are_counted(make_cache, compare):
    """As `embed list` does."""
    whole = make_cache("whole.h5", num_train=700)
    parts = make_cache(
        "parts.h5", num_train=700, max_file_bytes=FILE_BYTES, **OTHER
    )

    _, comparison = compare([whole, parts])

    found = [contestant.num_bytes for contestant in comparison.caches]
    assert find_folder(parts.path) is not None
    assert found == [measure_cache(whole.path), measure_cache(parts.path)]


def test_an_interrupted_comparison_goes_on(pair, compare, capsys):
    """A cache that has been judged is not judged again, to the same end."""
    num_epochs = QUICK.epochs * len(SEEDS)
    with pytest.raises(KeyboardInterrupt):
        compare(pair, console=StoppingConsole(num_epochs + 1))

    folder, resumed = compare(pair, console=Console())

    said = capsys.readouterr().err
    assert f"Cache: {pair[0].path}, judged before." in said
    assert f"Cache: {pair[1].path}.\n" in said
    assert list((folder.parent / ".building").iterdir()) == []
    _, whole = compare(pair, is_overwrite=True)
    timed = {"train_seconds": 0.0}
    assert [c.model_copy(update=timed) for c in resumed.caches] == [
        c.model_copy(update=timed) for c in whole.caches
    ]
