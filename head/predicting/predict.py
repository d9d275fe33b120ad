"""Predict: picture files through an exported model, as fast as it runs.

    read and decode (a thread a core) -> model (a thread a stream) -> neighbours

Each stage works ahead of the next, a bounded amount, and answers come in the
order of the files. Where the next file is a while in coming, what is there is
answered first. A few pictures are run on the model as it was loaded: for them
an engine would take longer to convert than it saves.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.console import Console
from embed.devices import prepare_devices
from embed.engines import Engine
from embed.engines import list_candidates
from embed.errors import StaleCacheError
from embed.images import DEFAULT_MAX_PIXELS
from embed.images import ImageDecoder
from embed.reading import Decoder
from embed.reading import PictureFile
from embed.reading import decode_files
from head.evaluating.metrics import softmax
from head.predicting.encoded_model import EncodedModel
from head.predicting.encoded_model import PictureChecker
from head.predicting.encoded_model import require_engine
from head.predicting.exported import ExportedModel
from head.predicting.loaded_model import LoadedModel
from head.predicting.neighbours import TrainingPictures
from head.predicting.prediction import Prediction
from head.predicting.start import start_engine

# MobileNetV2 at 224 px: 0.4 s and 40 ms a picture as it was loaded, 1.5 s to
# convert and 4 ms on LiteRT. So many take the same time both ways.
NUM_FEW = 32
BATCHES_AHEAD = 2  # Of each stream, decoded, so that it never waits.
LEAST_AHEAD, MOST_AHEAD = 16, 512  # Pictures: 300 MB at 224 px.
AUTO = "auto"


Runner = Engine | LoadedModel | EncodedModel
Batch = list[PictureFile]


class Predictor:
    """Answers picture files, and counts what it does.

    Args:
        model: What answers.
        engine: One of `embed.engines.ENGINES`, or `auto`.
        training: Where neighbours are looked up, if they are asked for.
        num_neighbours: Of each picture.
        max_pixels: Of the largest picture that is decoded.
        console: Receives remarks.

    Raises:
        EngineError: If the engine is missing.
        MissingArtifactError: If the model cannot be read.
        StaleCacheError: If the training pictures are of another backbone.
    """

    def __init__(
        self,
        model: ExportedModel,
        *,
        engine: str = AUTO,
        training: TrainingPictures | None = None,
        num_neighbours: int = 0,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        console: Console | None = None,
    ) -> None:
        self._console = console or Console(is_quiet=True)
        prepare_devices()
        list_candidates(engine, "float32")  # Raises early.
        self._wanted, self._training = engine, training
        self._num_neighbours = num_neighbours
        self._network = model.load(with_features=training is not None)
        self._decoder: Decoder
        if isinstance(self._network, EncodedModel):
            require_engine(model.path, None if engine == AUTO else engine)
            self._decoder = PictureChecker(max_pixels)
        else:
            size = self._network.image_size
            self._decoder = ImageDecoder(size, max_pixels)
        self._num_classes = len(model.class_names)
        num_features = self._network.feature_dim - self._num_classes
        if training is not None and training.feature_dim != num_features:
            raise StaleCacheError(
                f"The model {model.path} was made on another cache. Expected: "
                f"feature_dim={num_features}. Received: "
                f"{training.feature_dim}. Name the right one with "
                "`--cache PATH`."
            )
        self._runner: Runner | None = None
        self.num_answered = 0
        self.pass_seconds = 0.0  # Without start-up.

    @property
    def engine(self) -> str:
        """Name of what ran the model, `""` where there was nothing to run."""
        return self._runner.name if self._runner else ""

    @property
    def images_per_second(self) -> float:
        """Rate of the pass, without start-up; 0 where nothing was answered."""
        seconds = self.pass_seconds
        return self.num_answered / seconds if seconds else 0.0

    def run(
        self, files: Iterable[PictureFile | None], num_files: int | None = None
    ) -> Iterator[Prediction]:
        """Starts what runs the model, then answers file by file, in order.

        Args:
            files: Taken as they are needed, some ahead; `None` where the next
                is a while in coming.
            num_files: How many there are, if that is known.

        Returns:
            What the model says of each file, as soon as it is known.

        Raises:
            EngineError: If no engine can run the model, or the one chosen
                does not answer what the model answers.
        """
        groups = itertools.groupby(files, lambda file: file is None)
        bursts = (
            (file for file in group if file is not None)
            for is_pause, group in groups
            if not is_pause
        )
        burst = next(bursts, iter(()))
        first = self._begin(burst, num_files)
        return self._run_all(first, burst, bursts, num_files)

    def _run_all(
        self,
        first: Batch,
        files: Iterator[PictureFile],
        bursts: Iterator[Iterator[PictureFile]],
        num_files: int | None,
    ) -> Iterator[Prediction]:
        """Answers a burst of files that is begun, and then the others."""
        yield from self._run(first, files, num_files)
        for files in bursts:
            first = self._begin(files, num_files)
            yield from self._run(first, files, num_files)

    def _run(
        self,
        first: Batch,
        files: Iterator[PictureFile],
        num_files: int | None,
    ) -> Iterator[Prediction]:
        while first and self._runner is None:  # None of them is good.
            yield from (Prediction(f.path, f.problem) for f in first)
            first = self._begin(files, num_files)
        runner = self._runner
        if runner is None:
            return
        num_ahead = BATCHES_AHEAD * runner.num_streams * runner.batch_size
        num_ahead = min(max(num_ahead, LEAST_AHEAD), MOST_AHEAD)
        rest = decode_files(files, self._decoder, num_ahead)
        began = time.monotonic() - self.pass_seconds
        with ThreadPoolExecutor(runner.num_streams) as streams:
            answered = map_ahead(
                streams,
                functools.partial(self._answer, runner),
                _gather(itertools.chain(first, rest), runner.batch_size),
                num_ahead=runner.num_streams,
            )
            predictions = itertools.chain.from_iterable(answered)
            for prediction in self._look_up(predictions):
                self.num_answered += prediction.probabilities is not None
                self.pass_seconds = time.monotonic() - began
                yield prediction

    def _begin(
        self, files: Iterator[PictureFile], num_files: int | None
    ) -> Batch:
        """Decodes so many files that it is seen whether they are few.

        What runs the model is started for them.
        """
        taken = list(itertools.islice(files, NUM_FEW + 1))
        first = list(decode_files(taken, self._decoder, len(taken)))
        self._start(first, num_files)
        return first

    def _start(self, first: Batch, num_files: int | None) -> None:
        """Decides what runs the model, if there is a picture to run.

        What has begun with few pictures goes on with an engine once there are
        many.
        """
        images = [f.pixels for f in first if f.pixels is not None]
        is_few = len(first) <= NUM_FEW and self._wanted == AUTO
        is_good = is_few or not isinstance(self._runner, LoadedModel)
        if not images or (self._runner is not None and is_good):
            return
        network = self._network
        if isinstance(network, EncodedModel):
            self._runner = network
        elif is_few:
            self._runner = LoadedModel(network)
        else:
            self._runner = start_engine(
                self._wanted,
                network,
                np.stack(images),
                num_files,
                console=self._console,
            )

    def _answer(self, runner: Runner, batch: Batch) -> list[Prediction]:
        """Runs a batch through the model, in the thread of a stream."""
        images = [f.pixels for f in batch if f.pixels is not None]
        if not images:
            return [Prediction(f.path, f.problem) for f in batch]
        answers = runner(np.stack(images))
        # Not calibrated: nor are the probabilities that the model serves.
        logits = answers[:, -self._num_classes :]
        features: Iterable[np.ndarray | None] = itertools.repeat(None)
        if self._training is not None:
            features = answers[:, : -self._num_classes]
        rows = zip(softmax(logits), features, strict=False)
        return [
            Prediction(f.path, f.problem)
            if f.pixels is None
            else Prediction(f.path, "", *next(rows))
            for f in batch
        ]

    def _look_up(
        self, predictions: Iterator[Prediction]
    ) -> Iterator[Prediction]:
        """Adds neighbours, looked up for many pictures at once."""
        if self._training is None:
            yield from predictions
            return
        num_queries = self._training.num_queries
        while group := list(itertools.islice(predictions, num_queries)):
            queries = [p.features for p in group if p.features is not None]
            found = iter(
                self._training.find_nearest(
                    np.stack(queries), self._num_neighbours
                )
                if queries
                else ()
            )
            for prediction in group:
                if prediction.features is not None:
                    prediction = dataclasses.replace(
                        prediction, features=None, neighbours=next(found)
                    )
                yield prediction


def _gather(files: Iterator[PictureFile], batch_size: int) -> Iterator[Batch]:
    """Yields batches of so many good pictures, bad ones at their places."""
    batch: Batch = []
    num_good = 0
    for file in files:
        batch.append(file)
        num_good += file.pixels is not None
        if num_good == batch_size or len(batch) == MOST_AHEAD:
            yield batch
            batch, num_good = [], 0
    if batch:
        yield batch
