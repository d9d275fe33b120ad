"""Tests for `head.ensemble`."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from embed.seeds import MAX_SEED
from head.ensemble import answer_views
from head.ensemble import join_heads
from head.ensemble import score_rows
from head.ensemble import seeds_of
from head.ensemble import train_members
from head.evaluating.metrics import top1
from head.model import build_head
from head.spec import HeadSpec
from head.training.train import train_head

# One of each kind: a member may be anything that a head may be.
SPECS = (
    HeadSpec(epochs=2, normalization="sqrt"),
    HeadSpec(epochs=1, normalization="standardize", hidden_units=5),
    HeadSpec(epochs=3, normalization="l2", temperature=0.1),
)
ENSEMBLE = SPECS[0].model_copy(update={"others": SPECS[1:]})

ANSWER = """
import json, sys
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
print(json.dumps(model.predict(np.load(sys.argv[2]), verbose=0).tolist()))
assert "embed" not in sys.modules and "head" not in sys.modules
"""


@pytest.fixture(name="heads")
def _heads(rows):
    """An untrained head of each spec."""
    return [
        build_head(spec, train=rows, num_classes=3, seed=seed)
        for seed, spec in enumerate(SPECS)
    ]


def linear_head(kernel, bias=(0.0, 0.0)):
    """Returns a head of two features and two classes, weights set by hand."""
    features = keras.Input((2,), name="features")
    head = keras.Model(features, keras.layers.Dense(2, name="logits")(features))
    head.set_weights([np.array(kernel, np.float32), np.array(bias, np.float32)])
    return head


def test_logits_are_averaged():
    """Of the features (1, 2): (1, 2) and (4, 9) become (2.5, 5.5)."""
    heads = [
        linear_head([[1, 0], [0, 1]]),
        linear_head([[0, 1], [2, 3]], bias=(0.0, 2.0)),
    ]

    logits = join_heads(heads)(np.array([[1.0, 2.0]], np.float32))

    assert logits.numpy().tolist() == [[2.5, 5.5]]


def test_members_of_every_kind_are_joined(heads, rows):
    """The mean of what they answer, to the last digits of float32."""
    features = rows.features[:, 0]

    joined = join_heads(heads)

    mean = np.mean([head(features) for head in heads], axis=0)
    np.testing.assert_allclose(joined(features), mean, atol=1e-6)
    assert (joined.name, joined.output_shape) == ("head", (None, 3))


def test_names_of_layers_are_unique(heads):
    """Files and summaries tell the members apart."""
    names = [layer.name for layer in join_heads(heads).layers]

    assert names == ["features", "member_1", "member_2", "member_3", "logits"]


def test_a_single_head_stays_what_it_is(heads):
    """There is nothing to average, and no file changes."""
    assert join_heads(heads[:1]) is heads[0]


def test_a_joined_head_is_read_in_a_fresh_process(heads, rows, tmp_path):
    """From its file, in safe mode, with nothing but Keras."""
    features = rows.features[:, 0]
    joined = join_heads(heads)
    joined.save(tmp_path / "head.keras")
    np.save(tmp_path / "features.npy", features)

    process = subprocess.run(
        [sys.executable, "-c", ANSWER, "head.keras", "features.npy"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    answer = json.loads(process.stdout)
    np.testing.assert_allclose(answer, joined(features), atol=1e-5)


def test_members_have_the_seed_of_the_run():
    """Each is then the head that its spec gives alone."""
    assert seeds_of(ENSEMBLE.members, 7) == [7, 7, 7]


def test_a_spec_that_occurs_again_has_another_seed():
    """Two heads of one spec differ, and neighbouring runs share none."""
    members = HeadSpec(others=(SPECS[0], HeadSpec(), HeadSpec())).members

    seeds = [seeds_of(members, seed) for seed in (0, 1, 2, MAX_SEED)]

    assert seeds == [seeds_of(members, seed) for seed in (0, 1, 2, MAX_SEED)]
    assert all(first == second for first, second, *_ in seeds)
    drawn = {seed for first, _, *rest in seeds for seed in (first, *rest)}
    assert len(drawn) == 3 * len(seeds)
    assert all(0 <= seed <= MAX_SEED for seed in drawn)


def test_members_are_trained_as_if_alone(rows):
    """To the same bits, whatever was trained before them."""
    heads = train_members(ENSEMBLE, train=rows, val=rows, num_classes=3, seed=3)

    for head, spec in zip(heads, SPECS, strict=True):
        alone = train_head(spec, train=rows, val=rows, num_classes=3, seed=3)
        assert head.history == alone.history
        for found, expected in zip(
            head.model.get_weights(), alone.model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_every_epoch_is_reported(rows):
    """Those of all members, one after the other."""
    reported = []

    train_members(
        ENSEMBLE,
        train=rows,
        val=None,
        num_classes=3,
        seed=0,
        on_epoch=reported.append,
    )

    assert len(reported) == 2 + 1 + 3


def test_rows_are_answered_by_the_image_itself(rows):
    """View 0 alone, to what a training reports of its last epoch."""
    trained = train_head(SPECS[0], train=rows, val=rows, num_classes=3, seed=0)

    logits, labels = answer_views(trained.model, rows, num_answered=1)

    np.testing.assert_array_equal(labels, rows.labels)
    expected = trained.model(rows.features[:, 0])
    np.testing.assert_allclose(logits[:, 0], expected, atol=1e-6)
    accuracy = trained.history["val_accuracy"][-1]
    assert top1(logits[:, 0], labels) == pytest.approx(accuracy)


def test_a_score_is_the_share_of_right_answers(rows):
    """That of the answers, which it need not keep."""
    model = train_head(
        SPECS[0], train=rows, val=None, num_classes=3, seed=0
    ).model

    logits, labels = answer_views(model, rows, num_answered=1)
    assert score_rows(model, rows) == top1(logits[:, 0], labels)
