"""A search as one writes it with KerasTuner, on the rows of a cache.

    python -m benchmarks.stock_search CACHE FOLDER MAX_TRIALS BATCH_SIZE SEED

`keras_tuner.RandomSearch` over the space of `tune search`, each trial a Keras
model trained by `Model.fit` on batches of `tf.data`, which gathers them from
features in memory, draws views and mixes. KerasTuner scores a trial by its
best epoch. Prints one JSON line, with the score after the last one as well.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from benchmarks.with_keras import without_autotuning
from embed.cache import open_cache
from embed.rows import Rows
from embed.splits import split_train
from head.model import build_head
from head.spec import HeadSpec
from head.training.schedule import ListedRates
from head.training.schedule import learning_rates
from tune.space import BATCH_SIZE
from tune.space import suggest_spec

MAX_EPOCHS = 60  # The default of `tune search`.
SEED = 1  # Of weights and order.
OBJECTIVE = "val_accuracy"


class HyperHead(keras_tuner.HyperModel):
    """A head whose spec a trial suggests.

    Args:
        rows: Training rows.
        num_classes: Number of classes.
        batch_size: Images a step.
    """

    def __init__(self, rows: Rows, num_classes: int, batch_size: int) -> None:
        super().__init__()
        self._rows, self._num_classes = rows, num_classes
        self._batch_size = batch_size
        self.last_scores: list[float] = []  # One a trial.

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns a compiled head."""
        spec = suggest(hp, self._batch_size)
        model = build_head(
            spec, train=self._rows, num_classes=self._num_classes, seed=SEED
        )
        num_batches = -(-len(self._rows) // spec.batch_size)
        model.compile(
            optimizer=keras.optimizers.AdamW(
                ListedRates(learning_rates(spec, num_batches)),
                weight_decay=spec.weight_decay,
            ),
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=spec.label_smoothing
            ),
            metrics=["accuracy"],
        )
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        **options: Any,
    ) -> Any:
        """Trains for the epochs of a trial."""
        spec = suggest(hp, self._batch_size)
        batches = feed(self._rows, spec, self._num_classes)
        history = model.fit(batches, epochs=spec.epochs, **options)
        self.last_scores.append(history.history[OBJECTIVE][-1])
        return history


def feed(rows: Rows, spec: HeadSpec, num_classes: int) -> tf.data.Dataset:
    """Returns the batches of an epoch, drawn anew in each."""
    num_images, num_views, _ = rows.features.shape
    features, labels = tf.constant(rows.features), tf.constant(rows.labels)
    beta = np.random.default_rng(SEED)

    def gather(places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        views = tf.random.uniform(tf.shape(places), 0, num_views, tf.int64)
        batch = tf.gather(tf.gather(features, places), views, batch_dims=1)
        targets = tf.one_hot(tf.gather(labels, places), num_classes)
        if spec.view_mixing:
            other = tf.gather(
                tf.gather(features, places), 1 - views, batch_dims=1
            )
            share = tf.random.uniform(tf.shape(places))[:, tf.newaxis]
            batch = share * batch + (1 - share) * other
        if spec.mixup:
            share = tf.numpy_function(
                lambda: np.float32(beta.beta(spec.mixup, spec.mixup)),
                [],
                tf.float32,
            )
            share = tf.ensure_shape(share, [])  # KerasTuner hides the error.
            batch, targets = (
                share * of + (1 - share) * tf.roll(of, -1, axis=0)
                for of in (batch, targets)
            )
        return batch, targets

    return without_autotuning(
        tf.data.Dataset.range(num_images)
        .shuffle(num_images, seed=SEED)
        .batch(spec.batch_size)
        .map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def suggest(hp: keras_tuner.HyperParameters, batch_size: int) -> HeadSpec:
    """Returns the spec of a trial."""
    spec = suggest_spec(
        hp,
        oracle="random",
        max_epochs=MAX_EPOCHS,
        num_views=2,
        fingerprint=None,
    )
    return spec.model_copy(update={"batch_size": batch_size})


def main(
    path: str, folder: str, max_trials: str, batch_size: str, seed: str
) -> None:
    """Searches and prints how it went."""
    began = time.perf_counter()
    cache = open_cache(Path(path))
    split = split_train(cache.image_ids("train"))
    train, val = cache.take(split.train), cache.take(split.val)
    num_classes = len(cache.spec.class_names)
    hypermodel = HyperHead(train, num_classes, int(batch_size))
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        objective=OBJECTIVE,
        max_trials=int(max_trials),
        seed=int(seed),
        directory=folder,
        overwrite=True,
    )
    targets = keras.utils.to_categorical(val.labels, num_classes)
    validation = np.ascontiguousarray(val.features[:, 0]), targets
    tuner.search(validation_data=validation, verbose=0)
    trials = list(tuner.oracle.trials.values())
    if failed := [t.message for t in trials if t.status != "COMPLETED"]:
        raise RuntimeError(f"KerasTuner passed over an error: {failed[0]}")
    shown = [
        {
            "spec": suggest(trial.hyperparameters, BATCH_SIZE).model_dump(),
            "best_epoch": trial.score,
            "last_epoch": score,
        }
        for trial, score in zip(trials, hypermodel.last_scores, strict=True)
    ]
    result = {"trials": shown, "seconds": time.perf_counter() - began}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
