"""The model card: what an exported model is, rests on, and is not good for.

The form is that of Mitchell et al. (2019), "Model Cards for Model Reporting",
as far as Headstart knows: data, weights, licence, accuracy, limits.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from embed.cache import FeatureCache
from embed.views import FLIP
from embed.views import PLAIN
from head.evaluating.evaluation import Evaluation
from head.evaluating.evaluation_table import find_worst
from head.exporting.documents import LABELS
from head.exporting.documents import PREPROCESSING
from head.exporting.formats import FORMATS
from head.exporting.full_model import ENCODED
from head.exporting.licences import data_licence
from head.exporting.licences import describe_weights
from head.exporting.pixels import needs_pictures
from head.exporting.score import STITCHED
from head.exporting.score import Score
from head.run import Run

USES = {
    "savedmodel": "TensorFlow, which is all that it needs: "
    '`tf.saved_model.load(PATH).signatures["serve_bytes"]` takes the bytes of '
    "pictures, `serving_default` pixels",
    "keras": "Keras, in safe mode: `keras.models.load_model(PATH)`, on a "
    "`hub:`, `kaggle:` or `savedmodel:` backbone after "
    "`import embed.backbones.hub`, on a `kerashub:` one where keras-hub is "
    "installed; logits alone",
    "tflite": "LiteRT: one image a call",
    "tflite-int8": "LiteRT: one image a call, 8 bits inside, float32 outside",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO; compile it with `INFERENCE_PRECISION_HINT=f32`, or "
    "it computes in bfloat16 where the processor can",
}
OF_PICTURES = (
    "TensorFlow, which is all that it needs: `tf.saved_model.load(PATH)"
    '.signatures["serve_bytes"]` takes the bytes of pictures, and so does '
    "`serving_default`: pixels of one size do not have all views"
)
HEADINGS = (
    *("format", "file", "MB", "ms a picture", "top-1", "same top-1"),
    *("probabilities within", "logits within"),
)


def write_card(
    name: str,
    run: Run,
    cache: FeatureCache,
    evaluation: Evaluation,
) -> str:
    """Returns the card of a model, Markdown, as each format holds it.

    Args:
        name: Of the model.
        run: Whose head.
        cache: The one it was made on.
        evaluation: Of the head on the test split, by the views that the model
            averages.
    """
    spec, record = cache.spec, run.record
    height, width = spec.image_size
    weights = describe_weights(cache.provenance.backbone, spec.backbone)
    views = evaluation.answers.views
    averaged = ""
    if tuple(views) == (PLAIN, FLIP):
        averaged = ", averaged with those of its mirror image"
    elif len(views) > 1:
        averaged = (
            f", the mean over {len(views)} views of it that were chosen on "
            f"validation pictures ({', '.join(views)})"
        )
    takes = f"`images`, float32 `(batch, {height}, {width}, 3)`, RGB in [0, 1]"
    become = f"`{PREPROCESSING}` says how pictures become such images: resized"
    if needs_pictures(views):
        takes = f"`{ENCODED}`, the bytes of picture files `(batch,)`"
        become = f"`{PREPROCESSING}` says what becomes of them inside: resized"
    num_heads = len(record.spec.members)
    heads = "a dense head turns"
    if num_heads > 1:
        heads = f"{num_heads} dense heads turn"
    version = f" {spec.dataset_version}" if spec.dataset_version else ""
    num_skipped = len(cache.provenance.skipped)
    skipped = f"; {num_skipped:,} could not be read" if num_skipped else ""
    num_train = f"{record.num_train + record.num_val:,}"
    return f"""# {name}

Says which of {len(spec.class_names)} classes a picture shows: a frozen backbone
turns it into {cache.feature_dim:,} features, and {heads} these into
logits{averaged}. Made by Headstart {record.versions.get("headstart", "")} on
{record.created[:10]}.

It takes {takes}, and
answers `logits` and `probabilities`, their softmax, in the order of
`{LABELS}`. {become}
without keeping the ratio of their sides, EXIF orientation not applied.

## Data

- data set: `{spec.dataset}`{version}, cache {cache.fingerprint}
- {num_train} pictures to train on, of which {record.num_val:,} were held out
  until everything was chosen{skipped}
- {cache.num_images["test"]:,} pictures to test on, which chose nothing
- licence: {data_licence(spec)}

## Weights

- backbone: `{spec.backbone}`
- its weights: {weights.origin}
- their licence: {weights.licence}
- their digest: `{spec.weights_digest}`
- head: trained on the pictures above with seed {record.seed}; its licence is
  whatever theirs and that of the backbone allow

## Accuracy

Of the head on the whole test split, with 95 % intervals by the bootstrap:

{_format_groups(evaluation)}

- mean of the classes: {evaluation.metrics.mean_per_class:.2%}
- least accurate: {_name_worst(evaluation)}
- calibration error: {_describe_calibration(evaluation)}

## Limits

- It always answers one of its classes, whatever a picture shows, and may be
  sure of it.
- The accuracy is that of pictures like those of the data set. Nothing was
  measured of others: other cameras, places, crops, drawings or years.
- Classes that the backbone saw when it was trained may come off better than
  those that it did not.
- Classes with few pictures are known badly, and so is their accuracy.
- Nobody examined it for harm or unfairness. Decisions about people need more.
"""


def format_card(
    card: str,
    record: Mapping[str, Mapping[str, Any]],
    scored: Score,
    *,
    is_of_pictures: bool = False,
) -> str:
    """Returns a card with the formats that lie beside it.

    Args:
        card: What `write_card` returned.
        record: What `parity.json` says, by format.
        scored: How one of them does on the test split.
        is_of_pictures: Whether they take encoded pictures alone.
    """
    named = {**USES, "savedmodel": OF_PICTURES} if is_of_pictures else USES
    uses = "\n".join(
        f"- {name}: {use}" for name, use in named.items() if name in record
    )
    return f"""{card}
## Formats

{format_table(record)}

{explain_table(scored)}

{uses}
"""


def format_table(record: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns how far each format is from the cached head, Markdown."""
    rows: list[Sequence[str]] = [HEADINGS]
    for name in (STITCHED, *FORMATS):
        if name not in record:
            continue
        parity = record[name]
        test = parity.get("test")
        of_test = ("", "", "", "", "", "")
        if test:
            of_test = (
                FORMATS[name].files[0],
                f"{parity['num_bytes'] / 1e6:.1f}",
                f"{test['milliseconds']:.1f}",
                f"{test['top1']:.2%}",
                f"{test['top1_agreement']:.2%}",
                f"{test['max_probability_diff']:.1e}",
            )
        rows.append((name, *of_test, f"{parity['max_abs_diff']:.1e}"))
    return _lay_out(rows)


def explain_table(scored: Score) -> str:
    """Says what the columns are of, in a sentence or two.

    Args:
        scored: How one of the formats does on the test split.
    """
    of = f"{scored.num_images:,} of {scored.num_test:,}"
    if scored.num_images == scored.num_test:
        of = f"all {scored.num_test:,}"
    compared = ""
    if scored.reference == STITCHED:
        compared = (
            ", and each was compared with the stitched model in float32, as "
            "the cache is not in float32"
        )
    return (
        f"Each was read back by its own runtime in a fresh process. On {of} "
        f"test pictures the head has {scored.head_top1:.2%}{compared}; logits "
        "were compared with the head's on train and validation pictures. Times "
        "are those of the machine that exported."
    )


def _format_groups(evaluation: Evaluation) -> str:
    rows: list[Sequence[str]] = [("pictures", "top-1", "interval", "number")]
    for name, of in evaluation.of_groups.items():
        low, high = of.intervals["top1"]
        rows.append(
            (
                name,
                f"{of.metrics.top1:.2%}",
                f"{low:.2%} to {high:.2%}",
                f"{of.metrics.num_images:,}",
            )
        )
    return _lay_out(rows)


def _name_worst(evaluation: Evaluation) -> str:
    worst = find_worst({n: of.top1 for n, of in evaluation.classes.items()})
    return ", ".join(f"{name} {share:.1%}" for name, share in worst.items())


def _describe_calibration(evaluation: Evaluation) -> str:
    of_trained = f"{evaluation.metrics.ece:.2%}"
    if evaluation.calibrated is None:
        return of_trained
    return (
        f"{of_trained}; {evaluation.calibrated.metrics.ece:.2%} with logits "
        f"divided by {evaluation.answers.temperature:.3g}, a temperature "
        "fitted to held-out pictures"
    )


def _lay_out(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    heading, *others = [
        " | ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(
                zip(row, widths, strict=True)
            )
        )
        for row in rows
    ]
    rule = "|".join(
        f"{'-' * (width + 1)}:" if number else "-" * (width + 2)
        for number, width in enumerate(widths)
    )
    return "\n".join(
        [f"| {heading} |", f"|{rule}|", *(f"| {line} |" for line in others)]
    )
