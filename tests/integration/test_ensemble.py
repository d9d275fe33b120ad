"""An ensemble goes every way that a single head goes, pictures included."""

import json
import subprocess
import sys

import numpy as np
import pytest

from embed.console import Console
from embed.images import ImageDecoder
from embed.origin import load_backbone_of
from embed.splits import Selection
from embed.splits import split_train
from head import cli
from head.choice import find_or_train_run
from head.ensemble import answer_views
from head.ensemble import join_heads
from head.evaluating.evaluate import evaluate
from head.evaluating.evaluate import logits_of_features
from head.evaluating.metrics import top1
from head.exporting.export import export_full_model
from head.exporting.formats import DEFAULT_FORMATS
from head.refit import train_run
from head.run import load_run
from head.spec import HeadSpec
from head.spec import format_best
from head.stitch import stitch
from head.training.train import train_head

MEMBERS = (
    HeadSpec(epochs=12, learning_rate=0.05, normalization="sqrt"),
    HeadSpec(epochs=6, learning_rate=0.02, hidden_units=5, batch_size=8),
    HeadSpec(epochs=4, learning_rate=0.1, normalization="l2", temperature=0.1),
)
ENSEMBLE = MEMBERS[0].model_copy(update={"others": MEMBERS[1:]})

# The import registers our layer for TF-Hub modules; the head has none of ours.
ANSWER = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf

folder, *paths = sys.argv[1:]
encoded = [Path(path).read_bytes() for path in paths]
served = tf.saved_model.load(f"{folder}/saved_model")
answer = served.signatures["serve_bytes"](tf.constant(encoded))
assert "embed" not in sys.modules and "head" not in sys.modules

import keras
import embed.backbones.hub

model = keras.models.load_model(f"{folder}/model.keras", safe_mode=True)
logits = model.predict_on_batch(np.load(f"{folder}/../images.npy"))
assert "head" not in sys.modules
print(json.dumps([answer["logits"].numpy().tolist(), logits.tolist()]))
"""


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    """The folder that the tiny cache lies in."""
    return tmp_path / "artifacts"


@pytest.fixture(name="run")
def _run(tiny_cache, artifacts_dir):
    """A finished run of an ensemble."""
    return train_run(tiny_cache, ENSEMBLE, seed=0, artifacts_dir=artifacts_dir)


@pytest.fixture(name="test_images")
def _test_images(tiny_cache, picture_folder):
    """The paths of the test pictures, and what is decoded from them."""
    image_ids = tiny_cache.take(Selection("test")).image_ids
    paths = [picture_folder / "test" / image_id for image_id in image_ids]
    decoder = ImageDecoder(tiny_cache.spec.image_size)
    return paths, np.stack([decoder(path.read_bytes()) for path in paths])


def train_alone(spec, cache, *, is_refit):
    """Trains one member by itself."""
    split = split_train(cache.image_ids("train"))
    return train_head(
        spec,
        train=cache.take(Selection("train") if is_refit else split.train),
        val=None if is_refit else cache.take(split.val),
        num_classes=3,
        seed=0,
    )


def mean_logits(cache, num_views=1):
    """Returns the mean of what the members, refit alone, say of the test."""
    features = cache.take(Selection("test")).features[:, :num_views]
    return np.mean(
        [
            logits_of_features(
                train_alone(spec, cache, is_refit=True).model, features
            )
            for spec in MEMBERS
        ],
        axis=0,
    )


def test_a_stitched_ensemble_answers_the_mean_of_its_members(
    run, tiny_cache, test_images
):
    """On pictures, what its members trained one by one say on the cache."""
    _, images = test_images

    model = stitch(load_backbone_of(tiny_cache), run.load_head())

    logits = model.predict_on_batch(images)
    np.testing.assert_allclose(logits, mean_logits(tiny_cache), atol=1e-4)


def test_its_accuracy_is_that_of_the_joined_head(run, tiny_cache):
    """Before the refit, beside that of each member alone."""
    watched = [train_alone(s, tiny_cache, is_refit=False) for s in MEMBERS]
    val = tiny_cache.take(split_train(tiny_cache.image_ids("train")).val)

    joined = join_heads([trained.model for trained in watched])
    logits, labels = answer_views(joined, val, num_answered=1)
    expected = top1(logits[:, 0], labels)

    record = load_run(run.directory).record
    assert record.val_accuracy == expected
    assert record.member_val_accuracies == tuple(
        trained.history["val_accuracy"][-1] for trained in watched
    )
    assert record.spec == ENSEMBLE


def test_its_curves_are_those_of_the_first_member(run):
    """Others may have been trained for more epochs or fewer."""
    lines = (run.directory / "history.csv").read_text().splitlines()

    assert len(lines) == 1 + MEMBERS[0].epochs


def test_it_is_evaluated_as_any_head(run, tiny_cache):
    """From the cache as from the pictures, with mirrors and without."""
    for is_averaged in (False, True):
        of_cache, of_pictures = (
            evaluate(
                run,
                tiny_cache,
                is_averaged=is_averaged,
                is_end_to_end=is_end_to_end,
            )
            for is_end_to_end in (False, True)
        )

        expected = mean_logits(tiny_cache, 2 if is_averaged else 1)
        np.testing.assert_allclose(of_cache.logits, expected, atol=1e-5)
        np.testing.assert_allclose(of_pictures.logits, expected, atol=1e-4)


@pytest.mark.parametrize("is_averaged", [False, True])
def test_its_exports_answer_in_a_fresh_process(
    run, tiny_cache, artifacts_dir, test_images, is_averaged
):
    """Both formats, past the gate, the mean of the members on pictures."""
    paths, images = test_images
    export = export_full_model(
        run,
        tiny_cache,
        artifacts_dir=artifacts_dir,
        is_averaged=is_averaged,
    )
    np.save(export.directory.parent / "images.npy", images)

    process = subprocess.run(
        [sys.executable, "-c", ANSWER, export.directory, *paths],
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(export.parity) == {"stitched", *DEFAULT_FORMATS}
    assert export.worst.max_abs_diff <= export.worst.tolerance
    expected = mean_logits(tiny_cache, 2 if is_averaged else 1)
    for logits in json.loads(process.stdout):
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_the_winning_ensemble_of_a_search_is_trained_and_exported(
    run, tiny_cache, artifacts_dir, tmp_path, capfd
):
    """`head train --spec best.json` finds the run of the same members."""
    path = tmp_path / "best.json"
    path.write_text(format_best(ENSEMBLE, tiny_cache.spec), "utf-8")
    where = ["--cache", tiny_cache.path, "--artifacts", artifacts_dir]
    words = ["train", "--spec", path, *where, "--json"]

    with pytest.raises(SystemExit) as ended:
        cli.app(list(map(str, words)))

    assert ended.value.code == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["run"] == str(run.directory)
    assert answer["epochs"] == 12 + 6 + 4
    assert answer["val_accuracy"] == run.record.val_accuracy
    assert tuple(answer["member_val_accuracies"]) == (
        run.record.member_val_accuracies
    )


def test_another_seed_of_an_ensemble_trains_all_its_members(
    run, tiny_cache, artifacts_dir
):
    """The record of a run is enough to train the same heads again."""
    other, _ = find_or_train_run(
        artifacts_dir,
        run.directory,
        None,
        seed=1,
        console=Console(is_quiet=True),
    )

    assert other.record.spec == run.record.spec
    assert len(other.record.member_val_accuracies) == len(MEMBERS)
