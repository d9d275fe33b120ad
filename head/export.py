"""Export: the stitched model on disk, once it has passed the parity gate.

saved_model/    signatures `serving_default` (float images) and
                `serve_bytes` (encoded JPEG, PNG, BMP or GIF)
model.keras     images in [0, 1] to logits
labels.txt      one class name a line, by class index
parity.json     how far each format is from the cached head; written last
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from embed.artifacts import MODELS
from embed.artifacts import make_folder
from embed.artifacts import replace_folder
from embed.cache import FeatureCache
from embed.console import Console
from embed.devices import prepare_devices
from embed.images import decode_and_resize
from embed.origin import decoder_of
from embed.origin import load_backbone_of
from head.evaluate import logits_of_features
from head.evaluate import require_views
from head.parity import Parity
from head.parity import check_parity
from head.parity import draw_parity_sample
from head.run import Run
from head.stitch import stitch

LABELS, PARITY = "labels.txt", "parity.json"
SAVED_MODEL, KERAS_MODEL = "saved_model", "model.keras"
FORMATS = {"savedmodel": SAVED_MODEL, "keras": KERAS_MODEL}
BYTES_SIGNATURE = "serve_bytes"


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported model.

    Args:
        directory: Its folder.
        formats: By format the path it was written to.
        parity: By format how far it is from the cached head, beside
            `stitched`, the model in memory.
    """

    directory: Path
    formats: dict[str, Path]
    parity: dict[str, Parity]

    @property
    def worst(self) -> Parity:
        """The largest difference and smallest agreement of all formats."""
        return Parity(
            max_abs_diff=max(p.max_abs_diff for p in self.parity.values()),
            top1_agreement=min(p.top1_agreement for p in self.parity.values()),
            num_images=min(p.num_images for p in self.parity.values()),
            tolerance=min(p.tolerance for p in self.parity.values()),
        )


class ServedModel(tf.Module):
    """A stitched model with its labels, as a SavedModel serves it.

    Both signatures answer `class_names` `(batch,)`, the most probable class,
    and `probabilities` and `logits` `(batch, num_classes)` in the order of
    `labels.txt`.

    Args:
        model: Images to logits.
        labels_path: File of class names, which travels along.
        names: Class names in the order of the logits.
    """

    def __init__(
        self, model: keras.Model, labels_path: Path, names: Sequence[str]
    ) -> None:
        super().__init__()
        _, height, width, channels = model.input_shape
        self.model = model
        self.labels = tf.saved_model.Asset(str(labels_path))
        class_names = tf.constant(list(names))

        def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
            logits = model(images, training=False)
            return {
                "class_names": tf.gather(
                    class_names, tf.argmax(logits, axis=-1)
                ),
                "probabilities": tf.nn.softmax(logits),
                "logits": logits,
            }

        def answer_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            images = tf.map_fn(
                lambda one: decode_and_resize(one, (height, width)),
                encoded,
                fn_output_signature=tf.TensorSpec(
                    (height, width, channels), tf.float32
                ),
            )
            return answer(images)

        image_spec = tf.TensorSpec(
            (None, height, width, channels), tf.float32, name="images"
        )
        bytes_spec = tf.TensorSpec((None,), tf.string, name="encoded")
        self.serve = tf.function(answer, input_signature=[image_spec])
        self.serve_bytes = tf.function(
            answer_bytes, input_signature=[bytes_spec]
        )

    def save(self, directory: Path) -> None:
        """Writes the SavedModel."""
        tf.saved_model.save(
            self,
            str(directory),
            signatures={
                "serving_default": self.serve,
                BYTES_SIGNATURE: self.serve_bytes,
            },
        )


def export_full_model(
    run: Run,
    cache: FeatureCache,
    *,
    artifacts_dir: Path,
    formats: Sequence[str] = tuple(FORMATS),
    is_mirrored_too: bool = False,
    console: Console | None = None,
) -> Export:
    """Stitches a run's head to its backbone, and writes what passes the gate.

    Each format is read back before it counts: a model that does not answer
    what the head answers on cached features is not written, and the old
    export stays.

    Args:
        run: Whose head.
        cache: The one it was made on.
        artifacts_dir: Folder of everything written.
        formats: Some of `FORMATS`.
        is_mirrored_too: Whether the model averages each image and its mirror.
        console: Receives progress.

    Raises:
        StaleCacheError: If the run was made on another cache.
        ParityError: If a format falls short.
    """
    console = console or Console(is_quiet=True)
    prepare_devices()
    run.require_cache(cache)
    require_views(cache, is_mirrored_too=is_mirrored_too)
    make_folder(artifacts_dir / MODELS)
    head = run.load_head()
    num_views = 2 if is_mirrored_too else 1
    sample = draw_parity_sample(
        cache,
        lambda features: logits_of_features(head, features[:, :num_views]),
    )
    model = stitch(
        load_backbone_of(cache), head, is_mirrored_too=is_mirrored_too
    )
    suffix = "-tta" if is_mirrored_too else ""
    directory = artifacts_dir / MODELS / f"{run.directory.name}{suffix}"
    parity = {}
    steps = ("stitched", *formats)
    with (
        replace_folder(directory) as part,
        console.progress("Exporting", len(steps), "formats") as progress,
    ):
        labels = "".join(f"{name}\n" for name in cache.spec.class_names)
        (part / LABELS).write_text(labels, "utf-8")
        for name in steps:
            answer = _write_and_read_back(name, model, part, cache)
            parity[name] = check_parity(f"{name} model", answer, sample, cache)
            progress.advance(note=name)
        record = {name: dataclasses.asdict(p) for name, p in parity.items()}
        record |= _keep_others(directory, part, formats)
        (part / PARITY).write_text(json.dumps(record, indent=2), "utf-8")
    paths = {name: directory / FORMATS[name] for name in formats}
    return Export(directory, paths, parity)


def _keep_others(
    directory: Path, part: Path, formats: Sequence[str]
) -> dict[str, Any]:
    """Takes over the formats of an earlier export that were not asked for.

    A run's name stands for its head, so that they are of the same model.

    Returns:
        By format what the old `parity.json` says of it.
    """
    try:
        record = json.loads((directory / PARITY).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    kept = {}
    for name in FORMATS.keys() - set(formats):
        old = directory / FORMATS[name]
        if name in record and old.exists():
            copy = shutil.copytree if old.is_dir() else shutil.copy2
            copy(old, part / FORMATS[name])
            kept[name] = record[name]
    return kept


def _write_and_read_back(
    name: str, model: keras.Model, part: Path, cache: FeatureCache
) -> Callable[[Sequence[bytes]], Any]:
    """Writes one format and returns how it answers when read from there."""
    if name == "savedmodel":
        served = ServedModel(model, part / LABELS, cache.spec.class_names)
        served.save(part / SAVED_MODEL)
        loaded = tf.saved_model.load(str(part / SAVED_MODEL))
        serve = loaded.signatures[BYTES_SIGNATURE]
        return lambda encoded: serve(tf.constant(list(encoded)))["logits"]
    if name == "keras":
        model.save(part / KERAS_MODEL)
        model = keras.models.load_model(part / KERAS_MODEL)
    decoder = decoder_of(cache)
    return lambda encoded: model.predict_on_batch(
        np.stack([decoder(one) for one in encoded])
    )
