"""An evaluation on disk, which answers again while its inputs are the same.

evaluation.json    metrics, groups, views, pictures, and the digest of what it
                   was made from
predictions.csv    image id, true and predicted class, its probability
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.provenance import installed_versions
from head.evaluate import Evaluation
from head.groups import Groups
from head.metrics import softmax
from head.run import Run

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.csv"


def digest_inputs(
    run: Run,
    cache: FeatureCache,
    groups: Groups,
    *,
    is_mirrored_too: bool,
) -> str:
    """Returns the SHA-256 of all that an evaluation depends on.

    Args:
        run: What is judged.
        cache: On whose test rows.
        groups: Class numbers by group.
        is_mirrored_too: Whether the logits of all views are averaged.
    """
    facts = [
        {name: classes.tolist() for name, classes in groups.items()},
        is_mirrored_too,
        installed_versions(),
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
    """Writes `evaluation.json` and then `predictions.csv`.

    It is the answer to nothing until `keep_evaluation` says what it is of.
    """
    _write(directory, evaluation.to_payload())
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["image_id", "true", "predicted", "probability"])
    names = evaluation.class_names
    for image_id, label, probabilities in zip(
        evaluation.image_ids,
        evaluation.labels,
        softmax(evaluation.logits),
        strict=True,
    ):
        best = int(probabilities.argmax())
        writer.writerow(
            [image_id, names[label], names[best], float(probabilities[best])]
        )
    write_text(directory / PREDICTIONS, text.getvalue())


def keep_evaluation(
    evaluation: Evaluation,
    directory: Path,
    pictures: Sequence[Path],
    made_from: str,
) -> None:
    """Notes that an evaluation is whole, its pictures drawn.

    Args:
        evaluation: What was measured.
        directory: Of the run.
        pictures: Files in that folder.
        made_from: What `digest_inputs` says.
    """
    names = [path.name for path in pictures]
    payload = evaluation.to_payload()
    _write(directory, {**payload, "pictures": names, "made_from": made_from})


def find_evaluation(directory: Path, made_from: str) -> dict[str, Any] | None:
    """Returns what was measured of the same inputs, if all of it is there.

    Args:
        directory: Of the run.
        made_from: What `digest_inputs` says.

    Returns:
        What `Evaluation.to_payload` says, and the paths of its `pictures`.
    """
    try:
        text = (directory / EVALUATION).read_text("utf-8")
        payload: dict[str, Any] = json.loads(text)
        pictures = [directory / name for name in payload["pictures"]]
        is_same = payload.pop("made_from") == made_from
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    files = [directory / PREDICTIONS, *pictures]
    if not is_same or not all(path.is_file() for path in files):
        return None
    return payload | {"pictures": [str(path) for path in pictures]}


def format_evaluation(payload: dict[str, Any]) -> str:
    """Returns the accuracies as a table for people."""
    lines = [f"{'test images':<14}{'top-1':>9}{'images':>9}"]
    lines += [
        f"{name:<14}{group['top1']:>9.2%}{group['num_images']:>9,}"
        for name, group in payload["groups"].items()
    ]
    return "\n".join(
        [
            *lines,
            f"mean per class {payload['mean_per_class']:.2%}, negative log "
            f"likelihood {payload['nll']:.4f}, calibration error "
            f"{payload['ece']:.2%}",
        ]
    )


def _write(directory: Path, payload: dict[str, Any]) -> None:
    write_text(directory / EVALUATION, json.dumps(payload, indent=2))
