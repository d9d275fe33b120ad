"""A head on features: `train_head` against `Model.fit`, the reference recipe.

Both train Dropout 0.25 + Dense on 3,680 x 2 x 1792 features for 30 epochs of
batches of 32 with Adam at 5e-4. `Model.fit` gets view 0 as arrays, which is
the fastest form it has: drawing views from a `tf.data` pipeline costs more.
Ours does more, a view being drawn per image and epoch; accuracies are compared
where it gets view 0 alone as well.
Each trains in a process of its own, ours in one thread, as
`head train` does, Keras's with TensorFlow's defaults; one is idle while the
other works. A round trains four heads each way, since accuracies of single ones
spread over a point. The figures to quote are the ratio of the times, and the
difference of the mean accuracies on held-out rows. Ours have the seeds 0, 1, 2
and so on; Keras is not seeded: after `keras.utils.set_random_seed` Keras 3.15
draws the same order in every epoch, which costs it 0.8 points here.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.features import FEATURE_DIM
from benchmarks.features import NUM_CLASSES
from benchmarks.features import NUM_TEST
from benchmarks.features import NUM_TRAIN
from benchmarks.features import NUM_VIEWS
from benchmarks.features import Clouds
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from embed.devices import prepare_devices
from embed.rows import Rows
from head.spec import HeadSpec
from head.training.train import prepare_threads
from head.training.train import train_head

if TYPE_CHECKING:
    import keras

SPEC = HeadSpec()
NUM_HEADS = 4  # Each way and round.
OURS, ALONE, FIT = "train_head", "train_head, view 0", "Model.fit, view 0"
WAYS = (OURS, ALONE, FIT)


def main() -> None:
    """Measures both in turn and prints what they took."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_TRAIN)
    with (
        start_worker(prepare_ours) as ours,
        start_worker(prepare_devices) as fit,
    ):
        rounds = measure_in_turn(
            {
                OURS: lambda n: ours.submit(
                    train_heads, run_ours, n, count, NUM_VIEWS
                ).result(),
                ALONE: lambda n: ours.submit(
                    train_heads, run_ours, n, count, 1
                ).result(),
                FIT: lambda n: fit.submit(
                    train_heads, run_fit, n, count
                ).result(),
            },
            options.num_rounds,
        )
    report(rounds, count, options)


def report(rounds: Rounds, num_images: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    rows = [["way", "seconds", "accuracy %"]]
    accuracies = {}
    for name in WAYS:
        seconds = Summary.of(rounds.of(name, "seconds"))
        percent = [100 * share for share in rounds.of(name, "accuracy")]
        accuracies[name] = statistics.mean(percent)
        spread = f"{accuracies[name]:.2f} ({min(percent):.2f}-"
        rows.append([name, seconds.format(2), f"{spread}{max(percent):.2f})"])
    print_table(
        f"A head on {num_images:,} x {NUM_VIEWS} x {FEATURE_DIM} features, "
        f"{SPEC.epochs} epochs, {options.describe()} (min-max):",
        rows,
    )
    ratio = rounds.ratio(FIT, OURS, "seconds")
    difference = accuracies[ALONE] - accuracies[FIT]
    print(
        f"times as fast: {ratio.format(2)}; mean accuracy on held-out rows, "
        f"both on view 0: {difference:+.2f} points, "
        f"{NUM_HEADS * options.num_rounds} seeds"
    )
    print_result(
        "head",
        {
            "ratio": ratio,
            "accuracies": accuracies,
            "accuracy_difference": difference,
        },
        rounds,
        options,
        threads="train_head: one; Model.fit: TensorFlow's default",
    )


@functools.cache
def draw_rows(num_images: int) -> tuple[Rows, Rows]:
    """Returns features to train on and held-out ones."""
    clouds = Clouds()
    drawn = []
    for count in (num_images, NUM_TEST):
        labels = clouds.draw_labels(count)
        image_ids = tuple(map(str, range(count)))
        drawn.append(Rows(clouds.draw(labels), labels, image_ids))
    return drawn[0], drawn[1]


def prepare_ours() -> None:
    """Does what the command `head train` does first."""
    prepare_threads(feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES)


def train_heads(
    run: Callable[..., Values], number: int, *arguments: int
) -> Values:
    """Returns the means of the heads of a round."""
    first = NUM_HEADS * number
    heads = [run(seed, *arguments) for seed in range(first, first + NUM_HEADS)]
    return {
        name: statistics.mean(head[name] for head in heads) for name in heads[0]
    }


def run_ours(seed: int, num_images: int, num_views: int) -> Values:
    """Trains the recipe with a view drawn per image and epoch."""
    rows, held_out = draw_rows(num_images)
    features = np.ascontiguousarray(rows.features[:, :num_views])
    rows = dataclasses.replace(rows, features=features)
    began = time.perf_counter()
    trained = train_head(
        SPEC,
        train=rows,
        val=None,
        num_classes=NUM_CLASSES,
        seed=max(seed, 0),
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accuracy": judge(trained.model, held_out)}


def run_fit(_: int, num_images: int) -> Values:
    """Trains the recipe as a Keras user would, on view 0."""
    import keras

    rows, held_out = draw_rows(num_images)
    features = np.ascontiguousarray(rows.features[:, 0])
    began = time.perf_counter()
    model = keras.Sequential(
        [
            keras.Input((FEATURE_DIM,)),
            keras.layers.Dropout(SPEC.dropout),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(SPEC.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        features,
        rows.labels,
        batch_size=SPEC.batch_size,
        epochs=SPEC.epochs,
        verbose=0,
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accuracy": judge(model, held_out)}


def judge(model: "keras.Model", rows: Rows) -> float:
    """Returns the share of rows whose view 0 is answered rightly."""
    logits = np.asarray(model(rows.features[:, 0], training=False))
    return float((logits.argmax(axis=1) == rows.labels).mean())


if __name__ == "__main__":
    main()
