"""An exported model: which one it is, its names, and what it was made on.

All that answers pictures lies in its folder. Cache, dataset and backbone may be
gone.
"""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from embed.artifacts import MODELS
from embed.artifacts import RUNS
from embed.artifacts import find_cache_of
from embed.artifacts import newest_first
from embed.backbones import Backbone
from embed.backbones.module import SAVED_MODEL_FILES
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from head.exporting.documents import LABELS
from head.exporting.documents import MADE_WITH
from head.exporting.documents import PREPROCESSING
from head.exporting.export import KERAS_MODEL
from head.exporting.export import PARITY
from head.exporting.export import SAVED_MODEL
from head.predicting.cached import has_features_of
from head.predicting.cached import refuse_features
from head.predicting.encoded_model import EncodedModel
from head.run import Run
from head.run import load_run

EXPORT_COMMAND = "python -m head export-full-model"
TTA_SUFFIX = "-tta"  # What the name of an export has more than its run's.
KERAS_SUFFIX = ".keras"


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """A model on disk that takes pictures.

    Args:
        path: As it was named, or the folder in which it was found.
        file: The `.keras` file, or the folder of the SavedModel.
        class_names: Names in the order of its logits.
        made_with: What its cache says of the backbone, by field; empty of
            exports that do not know.
    """

    path: Path
    file: Path
    class_names: tuple[str, ...]
    made_with: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def has_features(self) -> bool:
        """Whether it can answer features beside logits."""
        return self.file.suffix == KERAS_SUFFIX

    def load(self, *, with_features: bool = False) -> Backbone | EncodedModel:
        """Loads the model; whatever runs a backbone runs it.

        Args:
            with_features: Whether it answers the features of the plain view
                in front of the logits.

        Returns:
            Images to logits, or to features and logits; or what takes
            encoded pictures.

        Raises:
            MissingArtifactError: If the model cannot be read, or does not
                answer features.
        """
        from head.predicting.exported_network import load_network

        network = load_network(
            self.file, len(self.class_names), with_features=with_features
        )
        if isinstance(network, EncodedModel):
            return network
        return Backbone(name=str(self.path), model=network, weights_digest="")

    def find_cache(
        self, artifacts_dir: Path, cache_path: Path | None
    ) -> FeatureCache:
        """Opens the cache that the model was made on.

        One without labels may be named as well: its pictures are only looked
        up.

        Args:
            artifacts_dir: Where the run is that was exported, if it is not
                beside the model.
            cache_path: Of the cache, if it was named.

        Raises:
            MissingArtifactError: If nothing says which it is, or it is gone.
            StaleCacheError: If it is not the one that was named.
        """
        run = self._find_run(artifacts_dir)
        if cache_path is not None:
            cache = open_cache(cache_path)
        elif run is not None:
            cache = find_cache_of(
                artifacts_dir,
                run.record.cache_spec.fingerprint(),
                Path(run.record.cache),
            )
        else:
            raise MissingArtifactError(
                f"Nothing says on which cache the model {self.path} was made: "
                f"its run {self._run_name} is not in {artifacts_dir / RUNS}. "
                "Name the cache with `--cache PATH`, or its folder with "
                "`--artifacts DIR`."
            )
        received = {name: getattr(cache.spec, name) for name in self.made_with}
        if run is None and received != self.made_with:
            raise StaleCacheError(
                f"The model {self.path} was made on another cache than "
                f"{cache.path}. Expected: {dict(self.made_with)}. Received: "
                f"{received}. Name the right one with `--cache PATH`."
            )
        if not cache.spec.is_labelled:
            if run is not None and not has_features_of(cache, run):
                made_on = run.record.cache_spec
                raise refuse_features(made_on, cache, f"The model {self.path}")
            return cache
        if run is not None:
            run.require_cache(cache)
        if cache.spec.class_names != self.class_names:
            raise StaleCacheError(
                f"The model {self.path} was made on another cache than "
                f"{cache.path}. Expected: the classes "
                f"{', '.join(self.class_names)}. Received: "
                f"{', '.join(cache.spec.class_names)}. Name the right one "
                "with `--cache PATH`."
            )
        return cache

    @property
    def _run_name(self) -> str:
        return self.file.resolve().parent.name.removesuffix(TTA_SUFFIX)

    def _find_run(self, artifacts_dir: Path) -> Run | None:
        """Returns the run that was exported: it has the same name."""
        beside = self.file.resolve().parent.parent.parent
        for folder in (beside, artifacts_dir):
            try:
                return load_run(folder / RUNS / self._run_name)
            except PipelineError:
                continue
        return None


def find_model(artifacts_dir: Path, model_path: Path | None) -> ExportedModel:
    """Returns the model that is named, or else the newest that is complete.

    Args:
        artifacts_dir: Folder of everything written.
        model_path: Folder of an export, a `.keras` file or a SavedModel.

    Raises:
        MissingArtifactError: If there is none.
    """
    if model_path is not None:
        return _open(model_path)
    exports = [*newest_first(artifacts_dir, f"{MODELS}/*/{PARITY}")]
    for path in exports:
        if _find_file(path.parent) is not None:
            return _open(path.parent)
    if exports:
        raise MissingArtifactError(
            f"The model {exports[0].parent} was exported to other formats "
            f"alone. Expected: {KERAS_MODEL} or {SAVED_MODEL} in it. Add one "
            f"with `{EXPORT_COMMAND} --format keras`."
        )
    raise MissingArtifactError(
        f"There is no exported model in {artifacts_dir / MODELS}. Export one "
        f"with `{EXPORT_COMMAND}`, or name one with `--model PATH`."
    )


def _open(path: Path) -> ExportedModel:
    file = _find_file(path)
    if file is None:
        raise MissingArtifactError(
            f"There is no model at {path}. Expected: a folder with "
            f"{KERAS_MODEL} or {SAVED_MODEL}, a {KERAS_SUFFIX} file or a "
            f"SavedModel of ours. Export one with `{EXPORT_COMMAND}`, or "
            "name another with `--model PATH`."
        )
    # What is inside has moved with the model, wherever it was taken.
    labels = _read_inside(file, LABELS) or _read(file.parent / LABELS)
    if not labels:
        raise MissingArtifactError(
            f"The model {path} has no names for its classes. Expected: "
            f"{file.parent / LABELS}. Put it there, or export the model again "
            f"with `{EXPORT_COMMAND}`."
        )
    made_with = json.loads(_read_inside(file, PREPROCESSING) or "{}").get(
        MADE_WITH, {}
    )
    return ExportedModel(path, file, tuple(labels.splitlines()), made_with)


def _find_file(path: Path) -> Path | None:
    """Returns what is to be loaded; a Keras model is read faster."""
    if path.is_file() and path.suffix == KERAS_SUFFIX:
        return path
    if (path / KERAS_MODEL).is_file():
        return path / KERAS_MODEL
    for directory in (path / SAVED_MODEL, path):
        if all((directory / name).is_file() for name in SAVED_MODEL_FILES):
            return directory
    return None


def _read_inside(file: Path, document: str) -> str:
    """Returns a document in a model itself, `""` where it has none."""
    if file.is_dir():
        return _read(file / "assets" / document)
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(document).decode()
    except (KeyError, OSError, zipfile.BadZipFile):  # Loading says more.
        return ""


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
