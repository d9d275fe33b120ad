"""An evaluation on disk, which answers again while its inputs are the same.

evaluation.json    what `head evaluate --json` says, and the digest of what it
                   was made from
predictions.csv    image id, true and predicted class by name, the probability
                   of the latter, and both classes by number
predictions.npz    all that was measured, for `n` images and `c` classes:

    image_ids                 <U       (n,)
    class_names               <U       (c,)
    labels                    int32    (n,)    true classes
    predicted                 int64    (n,)    first classes
    logits                    float32  (n, c)  mean of the views
    probabilities             float64  (n, c)  what all metrics are of
    calibrated_probabilities  float64  (n, c)  where there is a temperature
"""

import csv
import hashlib
import importlib.metadata
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.provenance import installed_versions
from head.evaluating.answers import Answers
from head.evaluating.evaluation import Evaluation
from head.evaluating.groups import Groups
from head.run import Run

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.csv"
ARRAYS, RELIABILITY = "predictions.npz", "reliability.png"
CSV_COLUMNS = (
    *("image_id", "true", "predicted", "probability"),
    *("label", "predicted_label"),  # Means over classes are in their order.
)
GROUP_PICTURES = "group-*.png"
VERSION = 2  # Of what is measured and written; an older file is no answer.


def digest_inputs(
    run: Run,
    cache: FeatureCache,
    groups: Groups,
    *,
    is_averaged: bool,
) -> str:
    """Returns the SHA-256 of all that an evaluation depends on.

    Args:
        run: What is judged.
        cache: On whose test rows.
        groups: Class numbers by group.
        is_averaged: Whether the logits of several views are averaged.
    """
    facts = [
        {name: classes.tolist() for name, classes in groups.items()},
        is_averaged and (run.record.tta_views or True),
        run.record.temperature,
        installed_versions(),
        importlib.metadata.version("scikit-learn"),
        VERSION,
    ]
    rows = np.arange(cache.num_images["test"])
    digest = hashlib.sha256()
    for part in (
        run.head_digest().encode(),
        cache.fingerprint.encode(),
        cache.row_digests("test", rows).tobytes(),
        json.dumps(facts).encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def write_evaluation(evaluation: Evaluation, directory: Path) -> None:
    """Writes `evaluation.json` and then the predictions.

    It is the answer to nothing until `keep_evaluation` says what it is of.
    The pictures of an evaluation before it, of other answers, go.
    """
    _write(directory, evaluation.to_payload())
    for old in (directory / RELIABILITY, *directory.glob(GROUP_PICTURES)):
        old.unlink(missing_ok=True)
    write_text(directory / PREDICTIONS, _to_csv(evaluation.answers))
    _write_arrays(evaluation.answers, directory / ARRAYS)


def keep_evaluation(
    evaluation: Evaluation,
    directory: Path,
    pictures: Sequence[Path],
    made_from: str,
    *,
    is_drawn: bool,
) -> None:
    """Notes that an evaluation is whole.

    Args:
        evaluation: What was measured.
        directory: Of the run.
        pictures: Files in that folder.
        made_from: What `digest_inputs` says.
        is_drawn: Whether these are all pictures that there should be.
    """
    facts = {
        "pictures": [path.name for path in pictures],
        "is_drawn": is_drawn,
        "made_from": made_from,
    }
    _write(directory, evaluation.to_payload() | facts)


def find_evaluation(
    directory: Path, made_from: str, *, is_drawn: bool = True
) -> dict[str, Any] | None:
    """Returns what was measured of the same inputs, if all of it is there.

    Args:
        directory: Of the run.
        made_from: What `digest_inputs` says.
        is_drawn: Whether the pictures must be there too.

    Returns:
        What `Evaluation.to_payload` says, and the paths of its `pictures`.
    """
    try:
        text = (directory / EVALUATION).read_text("utf-8")
        payload: dict[str, Any] = json.loads(text)
        pictures = [directory / name for name in payload["pictures"]]
        is_same = payload.pop("made_from") == made_from
        is_enough = payload.pop("is_drawn") or not is_drawn
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    files = [directory / PREDICTIONS, directory / ARRAYS, *pictures]
    if not (is_same and is_enough and all(path.is_file() for path in files)):
        return None
    return payload | {"pictures": [str(path) for path in pictures]}


def add_to_evaluation(directory: Path, facts: dict[str, Any]) -> None:
    """Adds to an evaluation that was kept what was measured later.

    Args:
        directory: Of the run.
        facts: By keys of the evaluation.
    """
    text = (directory / EVALUATION).read_text("utf-8")
    _write(directory, json.loads(text) | facts)


def _to_csv(answers: Answers) -> str:
    """Returns one line an image, for people."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    names = answers.class_names
    writer.writerows(
        [image_id, names[label], names[first], probability, label, first]
        for image_id, label, first, probability in zip(
            answers.image_ids,
            answers.labels.tolist(),
            answers.predicted.tolist(),
            answers.probabilities.max(-1).tolist(),
            strict=True,
        )
    )
    return text.getvalue()


def _write_arrays(answers: Answers, path: Path) -> None:
    """Writes all numbers, whole or not at all."""
    arrays: dict[str, Any] = {
        "image_ids": np.array(answers.image_ids),
        "class_names": np.array(answers.class_names),
        "labels": answers.labels,
        "predicted": answers.predicted,
        "logits": answers.logits,
        "probabilities": answers.probabilities,
    }
    calibrated = answers.calibrated_probabilities
    if calibrated is not None:
        arrays["calibrated_probabilities"] = calibrated
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


def _write(directory: Path, payload: dict[str, Any]) -> None:
    write_text(directory / EVALUATION, json.dumps(payload, indent=2))
