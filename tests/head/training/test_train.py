"""Tests for `head.training.train`."""

import dataclasses

import keras
import numpy as np
import pytest

import head.training.train
from embed.errors import PipelineError
from embed.splits import Selection
from embed.splits import split_train
from embed.stream import RowStream
from head.spec import HeadSpec
from head.training.draws import draw_shares_of_images
from head.training.train import DivergedError
from head.training.train import prepare_threads
from head.training.train import train_head


def train(rows, seed=0, val=None, num_classes=3, **changes):
    """Trains a small head for a few epochs."""
    spec = HeadSpec(**{"epochs": 4, "batch_size": 8, **changes})
    return train_head(
        spec, train=rows, val=val, num_classes=num_classes, seed=seed
    )


def weights_of(trained):
    """Returns all weights of a head as one vector."""
    return np.concatenate([w.ravel() for w in trained.model.get_weights()])


def test_same_seed_same_bits(rows):
    """Two trainings with one seed differ in no bit; seed 0 is not seed 1."""
    first, again, other = (weights_of(train(rows, seed=s)) for s in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_step_is_what_keras_computes(rows):
    """Without dropout one full batch is one step of `Model.fit`.

    View 1 is made equal to view 0, so that the views drawn do not matter.
    """
    one_view = dataclasses.replace(
        rows, features=np.repeat(rows.features[:, :1], 2, axis=1)
    )
    changes = {"epochs": 3, "batch_size": len(rows), "dropout": 0.0}
    untrained = train(rows, epochs=1, learning_rate=1e-30, dropout=0.0)
    reference = keras.models.clone_model(untrained.model)
    reference.set_weights(untrained.model.get_weights())
    reference.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    trained = train(one_view, learning_rate=1e-2, **changes)
    reference.fit(
        one_view.features[:, 0],
        one_view.labels,
        batch_size=len(rows),
        epochs=3,
        verbose=0,
    )

    np.testing.assert_allclose(
        weights_of(trained),
        np.concatenate([w.ravel() for w in reference.get_weights()]),
        atol=1e-5,
    )


def test_every_image_is_seen_once_an_epoch(rows):
    """With one image a batch, the last batch of an epoch short, all count.

    The training accuracy is a mean over images, so that it is a multiple of
    one image's share.
    """
    trained = train(rows, batch_size=7, epochs=2)

    counts = np.array(trained.history["accuracy"]) * len(rows)
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)


def test_views_are_drawn(rows):
    """Features of view 1 that say the opposite change what is learnt."""
    misleading = rows.features.copy()
    misleading[:, 1] = np.roll(misleading[:, 1], 1, axis=0)

    plain = train(rows)
    misled = train(dataclasses.replace(rows, features=misleading))

    assert not np.array_equal(weights_of(plain), weights_of(misled))


def test_validation_watches_and_chooses_nothing(rows):
    """The weights are the same bits with validation rows and without."""
    val = rows.take(np.arange(6))

    watched, alone = train(rows, val=val), train(rows)

    np.testing.assert_array_equal(weights_of(watched), weights_of(alone))
    assert set(watched.history) - set(alone.history) == {
        "val_loss",
        "val_accuracy",
    }


def test_validation_uses_view_0_without_dropout(rows):
    """The last validation accuracy is that of the finished head."""
    val = rows.take(np.arange(12))

    trained = train(rows, val=val, dropout=0.5)

    logits = np.asarray(trained.model(val.features[:, 0], training=False))
    expected = (logits.argmax(-1) == val.labels).mean()
    assert trained.history["val_accuracy"][-1] == pytest.approx(expected)


def test_it_learns(rows):
    """Classes far apart are told apart."""
    trained = train(rows, epochs=40, learning_rate=1e-2, val=rows)

    assert trained.history["val_accuracy"][-1] > 0.9
    assert trained.history["loss"][-1] < trained.history["loss"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_decay": 0.1},
        {"label_smoothing": 0.2},
        {"hidden_units": 4},
        {"normalization": "l2"},
        {"dropout": 0.7},
        {"learning_rate": 1e-2},
        {"batch_size": 16},
        {"epochs": 5},
    ],
)
def test_every_hyperparameter_has_an_effect(rows, changes):
    """No field of a spec is read and ignored."""
    assert not np.array_equal(
        weights_of(train(rows)), weights_of(train(rows, **changes))
    )


@pytest.mark.parametrize(
    ("num_classes", "expected"), [(37, 1), (167, 1), (168, 0), (1000, 0)]
)
def test_small_heads_are_trained_in_one_thread(
    monkeypatch, num_classes, expected
):
    """A large one is left all threads that there are."""
    calls = []
    monkeypatch.setattr(head.training.train, "use_threads", calls.append)

    prepare_threads(feature_dim=1792, num_classes=num_classes)

    assert len(calls) == expected


def test_divergence_is_an_error_with_the_epoch(rows):
    """An infinite feature ends the training and names the learning rate."""
    features = rows.features.copy()
    features[0, :] = np.inf

    with pytest.raises(DivergedError, match="Lower the learning rate"):
        train(dataclasses.replace(rows, features=features))


def test_each_epoch_is_reported(rows):
    """The callback sees what the history keeps."""
    seen = []

    trained = train_head(
        HeadSpec(epochs=3),
        train=rows,
        val=rows,
        num_classes=3,
        seed=0,
        on_epoch=seen.append,
    )

    assert [metrics["loss"] for metrics in seen] == trained.history["loss"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 7, "hidden_units": 4, "weight_decay": 0.1},
        {"normalization": "standardize", "label_smoothing": 0.1},
    ],
)
def test_a_stream_trains_the_same_head(draw_cache, tmp_path, changes):
    """To the bit, metrics included, at any limit: seeds stay real."""
    cache = draw_cache(tmp_path / "tiny.h5", num_train=200)
    split = split_train(cache.image_ids("train"))
    held = train(cache.take(split.train), val=cache.take(split.val), **changes)

    for memory_limit in (2500, 5000):
        rows, val = (
            RowStream(cache, selection, memory_limit=memory_limit)
            for selection in (split.train, split.val)
        )
        streamed = train(rows, val=val, **changes)

        np.testing.assert_array_equal(weights_of(streamed), weights_of(held))
        for name, values in held.history.items():
            assert streamed.history[name] == pytest.approx(values, rel=1e-5)


def test_a_cache_in_parts_trains_the_same_head(draw_cache, tmp_path):
    """Streamed from four files or held in memory of one, to the bit."""
    parts, single = (
        draw_cache(tmp_path / name, num_train=700, max_file_bytes=size)
        for name, size in (("parts.h5", 24_576), ("single.h5", None))
    )
    rows = RowStream(parts, Selection("train"), memory_limit=5000)

    streamed, held = train(rows), train(single.take(Selection("train")))

    assert len(parts.files.list_sizes()) == 5
    np.testing.assert_array_equal(weights_of(streamed), weights_of(held))


def test_a_stream_learns_from_classes_that_are_sorted(draw_cache, tmp_path):
    """No chunk of a folder, which is in order of class, has one class alone."""
    cache = draw_cache(
        tmp_path / "sorted.h5", num_train=300, num_test=300, is_sorted=True
    )
    assert (np.diff(cache.labels("train")) >= 0).all()
    test = cache.take(Selection("test"))
    rows = RowStream(cache, Selection("train"), memory_limit=3000)

    trained = train(rows, val=test, epochs=30, learning_rate=1e-2)
    held = train(
        cache.take(Selection("train")), val=test, epochs=30, learning_rate=1e-2
    )

    assert trained.history["val_accuracy"][-1] > 0.75
    assert trained.history["val_accuracy"] == held.history["val_accuracy"]


def test_a_limit_without_room_for_a_batch_is_refused(draw_cache, tmp_path):
    """Before anything is trained, with the limit that would do."""
    cache = draw_cache(tmp_path / "tiny.h5")
    rows = RowStream(cache, Selection("train"), memory_limit=1000)

    with pytest.raises(PipelineError, match="--memory-limit 2048"):
        train(rows)


def test_a_cosine_head_keeps_its_vectors_at_unit_length(rows):
    """After every step, so that its logits stay cosines."""
    trained = train(rows, temperature=0.1, learning_rate=0.1)

    [kernel] = trained.model.get_layer("cosines").get_weights()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.4},
        {"view_mixing": True},
        {"schedule": "cosine"},
        {"warmup_epochs": 2},
        {"temperature": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_size", [8, 7])
def test_every_option_changes_what_is_learnt(rows, changes, batch_size):
    """And the same seed gives the same bits again."""
    first, again = (
        weights_of(train(rows, batch_size=batch_size, **changes))
        for _ in range(2)
    )
    without = weights_of(train(rows, batch_size=batch_size))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, without)


def test_mixup_trains_on_mixtures(rows):
    """A step on two images is one on their mixtures, by hand.

    With one share for the batch, the two mixtures are share and rest of
    both, features as targets.
    """
    two = rows.take(np.array([0, 1]))
    two = dataclasses.replace(two, features=two.features[:, :1])
    options = {"batch_size": 2, "epochs": 1, "dropout": 0.0}
    start = train(two, **options, learning_rate=1e-30).model
    share = draw_shares_of_images(0.4, 1, seed=0, epoch=0)[0]
    vectors, targets = two.features[:, 0], np.eye(3)[two.labels]
    reference = keras.models.clone_model(start)
    reference.set_weights(start.get_weights())
    reference.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )

    trained = train(two, **options, learning_rate=1e-2, mixup=0.4)
    reference.train_on_batch(
        share * vectors + (1 - share) * vectors[::-1],
        share * targets + (1 - share) * targets[::-1],
    )

    np.testing.assert_allclose(
        weights_of(trained),
        np.concatenate([w.ravel() for w in reference.get_weights()]),
        atol=1e-5,
    )
