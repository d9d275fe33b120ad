"""Export: the stitched model on disk, in formats that passed the gate.

`head/exporting/export_folder.py` says what lies where.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from embed.artifacts import MODELS
from embed.artifacts import make_folder
from embed.artifacts import replace_folder
from embed.cache import FeatureCache
from embed.console import Console
from embed.devices import prepare_devices
from embed.origin import decoder_of
from embed.origin import load_backbones_of
from embed.views import FLIP
from head.evaluating.evaluate import columns_of
from head.evaluating.evaluate import evaluate
from head.evaluating.evaluate import logits_of_features
from head.evaluating.evaluate import require_views
from head.exporting.documents import CARD
from head.exporting.documents import LABELS
from head.exporting.documents import PREPROCESSING
from head.exporting.documents import describe_preprocessing
from head.exporting.documents import format_labels
from head.exporting.export_folder import PARITY
from head.exporting.export_folder import count_bytes
from head.exporting.export_folder import keep_others
from head.exporting.export_folder import remove_format
from head.exporting.formats import DEFAULT_FORMATS
from head.exporting.formats import FORMATS
from head.exporting.formats import KERAS_MODEL
from head.exporting.formats import SAVED_MODEL
from head.exporting.formats import FormatError
from head.exporting.formats import require_packages
from head.exporting.full_model import FullModel
from head.exporting.gate import Gate
from head.exporting.model_card import format_card
from head.exporting.model_card import write_card
from head.exporting.parity import Parity
from head.exporting.parity import ParityError
from head.exporting.parity import draw_parity_sample
from head.exporting.pixels import needs_pictures
from head.exporting.pixels import require_formats
from head.exporting.score import STITCHED
from head.exporting.score import Score
from head.exporting.score import draw_scoring_sample
from head.exporting.writing import write_format
from head.run import Run
from head.stitch import stitch
from head.view_model import ViewModel

if TYPE_CHECKING:
    import keras

__all__ = [
    "KERAS_MODEL",
    "LABELS",
    "PARITY",
    "SAVED_MODEL",
    "Export",
    "export_full_model",
    "export_stitched",
]


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported model.

    Args:
        directory: Its folder.
        formats: By format the path it was written to.
        parity: By format how far it is from the cached head, beside
            `stitched`, the model in memory.
        scores: By format how it does on the test split.
        refused: By format why it was not written.
        record: What `parity.json` says, of formats of before as well.
    """

    directory: Path
    formats: dict[str, Path]
    parity: dict[str, Parity]
    scores: dict[str, Score]
    refused: dict[str, str]
    record: dict[str, dict[str, Any]]

    @property
    def worst(self) -> Parity:
        """Largest difference and smallest agreement of those in float32."""
        exact = [
            parity
            for name, parity in self.parity.items()
            if name == STITCHED or not FORMATS[name].is_quantized
        ]
        return Parity(
            max_abs_diff=max(parity.max_abs_diff for parity in exact),
            top1_agreement=min(parity.top1_agreement for parity in exact),
            num_images=min(parity.num_images for parity in exact),
            tolerance=min(parity.tolerance for parity in exact),
        )


def export_full_model(
    run: Run,
    cache: FeatureCache,
    *,
    artifacts_dir: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    is_averaged: bool = False,
    console: Console | None = None,
) -> Export:
    """Stitches a run's head to its backbone, and writes what passes the gate.

    Each format is read back before it counts. One that falls short is not
    written, the others are; of it, and of formats that were not asked for,
    an earlier export stays. If none passes, nothing is touched.

    Args:
        run: Whose head.
        cache: The one it was made on.
        artifacts_dir: Folder of everything written.
        formats: Some of `FORMATS`.
        is_averaged: Whether the model averages the views that the run chose.
        console: Receives progress.

    Raises:
        MissingPackageError: If a format needs a package that is not there.
        FormatError: If no format can average these views.
        StaleCacheError: If the run was made on another cache.
        ParityError: If the stitched model falls short, or every format.
        SourceError: If pictures are not there any more.
    """
    require_packages(formats)
    prepare_devices()
    run.require_cache(cache)
    require_views(cache, is_averaged=is_averaged)
    views = run.views(is_averaged=is_averaged)
    require_formats(formats, views)
    make_folder(artifacts_dir / MODELS)
    backbones, head = load_backbones_of(cache), run.load_head()
    plain = stitch(backbones.backbone, head)
    model, of_views = plain, None
    if needs_pictures(views):
        of_views = ViewModel(backbones, head, views, decoder_of(cache))
    elif FLIP in views:
        model = stitch(backbones.backbone, head, is_mirrored_too=True)
    return export_stitched(
        model,
        plain,
        run,
        cache,
        artifacts_dir=artifacts_dir,
        formats=formats,
        is_averaged=is_averaged,
        of_views=of_views,
        console=console,
    )


def export_stitched(
    model: "keras.Model",
    plain: "keras.Model",
    run: Run,
    cache: FeatureCache,
    *,
    artifacts_dir: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    is_averaged: bool = False,
    of_views: ViewModel | None = None,
    console: Console | None = None,
) -> Export:
    """Writes a stitched model, if it is what the run's head says it is.

    For the rest see `export_full_model`.

    Args:
        model: Images to logits.
        plain: The same without the mirror.
        run: Whose head it must answer like.
        cache: The one that was made on.
        artifacts_dir: Folder of everything written.
        formats: Some of `FORMATS`.
        is_averaged: Whether the model averages the views that the run chose.
        of_views: What averages them, where pixels do not give them.
        console: Receives progress.

    Raises:
        ParityError: If the stitched model falls short, or every format.
        SourceError: If pictures are not there any more.
    """
    console = console or Console(is_quiet=True)
    suffix = "-tta" if is_averaged else ""
    directory = artifacts_dir / MODELS / f"{run.directory.name}{suffix}"
    evaluation = evaluate(run, cache, is_averaged=is_averaged)
    views = evaluation.answers.views
    card = write_card(directory.name, run, cache, evaluation)
    documents = {
        LABELS: format_labels(cache.spec.class_names),
        PREPROCESSING: describe_preprocessing(
            cache,
            views=views,
            temperature=run.record.temperature,
        ),
        CARD: card,
    }
    full_model = FullModel(
        model,
        plain,
        is_mirrored_too=FLIP in views and of_views is None,
        documents=documents,
        cache=cache,
        of_views=of_views,
    )
    head, columns = run.load_head(), columns_of(cache, views)
    gate = Gate(
        cache=cache,
        sample=draw_parity_sample(
            cache,
            lambda features: logits_of_features(head, features[:, columns]),
            views,
        ),
        test=draw_scoring_sample(cache, evaluation.logits, views),
        documents=documents,
    )
    parity, scores, refused = {}, {}, {}
    with (
        replace_folder(directory) as part,
        console.progress("Exporting", 1 + len(formats), "formats") as progress,
    ):
        parity[STITCHED] = gate.check_stitched(of_views or model)
        progress.advance(note=STITCHED)
        for name in formats:
            of = FORMATS[name]
            try:
                write_format(of, full_model, part)
                passed = gate.check_file(of, part / of.files[0])
                parity[name], scores[name] = passed
            except (ParityError, FormatError) as error:
                refused[name] = str(error)
                remove_format(of, part)
            progress.advance(note=name)
        if len(refused) == len(formats):
            raise ParityError(
                f"{' '.join(refused.values())} Nothing was written: choose "
                "other formats with `--format`."
            )
        digest = run.head_digest()
        record = {name: dataclasses.asdict(p) for name, p in parity.items()}
        for name, scored in scores.items():
            record[name] |= {
                "num_bytes": count_bytes(FORMATS[name], part),
                "head_digest": digest,
                "test": dataclasses.asdict(scored),
            }
        record |= keep_others(directory, part, scores.keys(), digest)
        for name, text in documents.items():
            (part / name).write_text(text, "utf-8")
        (part / CARD).write_text(
            format_card(
                card,
                record,
                next(iter(scores.values())),
                is_of_pictures=of_views is not None,
            ),
            "utf-8",
        )
        (part / PARITY).write_text(json.dumps(record, indent=2), "utf-8")
    paths = {name: directory / FORMATS[name].files[0] for name in scores}
    return Export(directory, paths, parity, scores, refused, record)
