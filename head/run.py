"""A run: one training of one head, with its files.

head.keras            the head, refit on train and validation rows
history.csv           metrics by epoch, before the refit; of an ensemble those
                      of its first member, since others may have other epochs
learning-curves.png   the same, drawn
training-images.png   what it was trained on, with class names
run.json              a `RunRecord`; written last
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic

from embed.artifacts import RUNS
from embed.artifacts import create_stale_error
from embed.artifacts import newest_first
from embed.cache import FeatureCache
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.spec import CacheSpec
from head.evaluating.view_choice import NUM_UNCHOSEN
from head.spec import HeadSpec

if TYPE_CHECKING:
    import keras

RECORD, HEAD, HISTORY = "run.json", "head.keras", "history.csv"
CURVES, IMAGES = "learning-curves.png", "training-images.png"
TRAIN_COMMAND = "python -m head train"


class RunRecord(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What a run was made from and what came of it.

    Args:
        spec: What was trained.
        seed: Of weights, order, views and dropout.
        cache: Where the cache lay.
        cache_spec: What the cache was made from.
        pictures_digest: Of the content of its pictures.
        val_accuracy: After the last epoch, before the refit; of an ensemble
            that of its averaged logits.
        member_val_accuracies: Of an ensemble, those of each member alone.
        temperature: By which the logits are divided to be calibrated, fitted
            to view 0 of the validation images before the refit; `None` in
            runs of before there was one.
        tta_views: Views that are averaged at test time where more than one
            is asked for, chosen by the validation images before the refit;
            `None` in runs of before, which average all.
        num_train: Images fitted on before the refit.
        num_val: Images watched.
        created: When it was finished, ISO 8601 with time zone.
        versions: Version by package.
        seconds: Wall-clock seconds of both trainings.
    """

    spec: HeadSpec
    seed: int
    cache: str
    cache_spec: CacheSpec
    pictures_digest: str
    val_accuracy: float
    member_val_accuracies: tuple[float, ...] = ()
    temperature: float | None = pydantic.Field(default=None, gt=0)
    tta_views: tuple[str, ...] | None = None
    num_train: int
    num_val: int
    created: str
    versions: dict[str, str]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run on disk.

    Args:
        directory: Its folder.
        record: What its `run.json` says.
    """

    directory: Path
    record: RunRecord

    def load_head(self) -> "keras.Model":
        """Returns the head, features to logits.

        Raises:
            MissingArtifactError: If its file cannot be read.
        """
        import keras

        try:
            return keras.models.load_model(self.directory / HEAD)
        except Exception as error:  # Keras and zipfile raise anything.
            raise self._unreadable(error) from error

    def views(self, *, is_averaged: bool) -> tuple[str, ...]:
        """Returns the views whose answers count, the plain one first.

        Args:
            is_averaged: Whether several are to be averaged.
        """
        held = self.record.cache_spec.views
        if not is_averaged:
            return held[:1]
        return self.record.tta_views or held

    def describe_views(self) -> str:
        """Says which views are averaged, and how they were chosen."""
        views, held = self.views(is_averaged=True), self.record.cache_spec.views
        text = f"Views averaged: {', '.join(views)}"
        if len(held) <= NUM_UNCHOSEN:
            return f"{text}."
        return f"{text}; of {len(held)}, chosen on validation images."

    def head_digest(self) -> str:
        """Returns the SHA-256 of the head's file.

        Raises:
            MissingArtifactError: If it cannot be read.
        """
        try:
            content = (self.directory / HEAD).read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error
        return hashlib.sha256(content).hexdigest()

    def require_cache(self, cache: FeatureCache) -> None:
        """Refuses a cache but the one the run was made on.

        Raises:
            StaleCacheError: Names the fields, both values and the command.
        """
        if cache.fingerprint != self.record.cache_spec.fingerprint():
            raise create_stale_error(
                self.record.cache_spec,
                cache,
                subject=f"The run {self.directory} was made",
                advice=_advise_training(cache),
            )
        if cache.pictures_digest() != self.record.pictures_digest:
            raise StaleCacheError(
                f"The run {self.directory} was made on other pictures than "
                f"{cache.path} holds by now, under the same names. Train on "
                f"these with `{TRAIN_COMMAND}`."
            )

    def _unreadable(self, error: Exception) -> MissingArtifactError:
        return MissingArtifactError(
            f"The head of the run {self.directory} cannot be read: {error}. "
            f"Train it again with `{TRAIN_COMMAND} --overwrite`."
        )


def load_run(directory: Path) -> Run:
    """Reads a finished run.

    Raises:
        MissingArtifactError: If there is none.
        PipelineError: If its record is unreadable.
    """
    if directory.name in ("", ".."):  # Exports are called like their run.
        directory = directory.resolve()
    path = directory / RECORD
    try:
        record = RunRecord.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        raise MissingArtifactError(
            f"There is no run at {directory}. Expected: a folder with "
            f"{RECORD}. Make one with `{TRAIN_COMMAND}`."
        ) from error
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"The record {path} is no run of this version: {error}. Train it "
            f"again with `{TRAIN_COMMAND} --overwrite`."
        ) from error
    return Run(directory, record)


def find_run(
    artifacts_dir: Path,
    run_dir: Path | None,
    cache: FeatureCache | None = None,
) -> Run:
    """Returns the run that is named, or else the newest that fits.

    Args:
        artifacts_dir: Folder of everything written.
        run_dir: Folder of a run.
        cache: What it must have been made on; `None` for any.

    Raises:
        MissingArtifactError: If there is none.
        StaleCacheError: If there are runs of other caches alone.
    """
    if run_dir is not None:
        run = load_run(run_dir)
        if cache is not None:
            run.require_cache(cache)
        return run
    others = []
    for path in newest_first(artifacts_dir, f"{RUNS}/*/{RECORD}"):
        run = load_run(path.parent)
        made_on = run.record.cache_spec
        if cache is None or made_on.fingerprint() == cache.fingerprint:
            return run
        others.append(run)
    if cache is not None and others:
        raise create_stale_error(
            others[0].record.cache_spec,
            cache,
            subject=f"No run fits. The newest, {others[0].directory}, was made",
            advice=_advise_training(cache),
        )
    on_this = f" --cache {cache.path}" if cache else ""
    raise MissingArtifactError(
        f"There is no run in {artifacts_dir / RUNS}. Make one with "
        f"`{TRAIN_COMMAND}{on_this}`, or name one with `--run DIR`."
    )


def _advise_training(cache: FeatureCache) -> str:
    return f"Train on this one with `{TRAIN_COMMAND} --cache {cache.path}`."
