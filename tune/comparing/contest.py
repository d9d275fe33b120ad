"""The trainings of one head on one cache, and what they answer."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from embed.cache import FeatureCache
from embed.console import Console
from embed.rows import Rows
from embed.splits import split_train
from embed.stream import choose_reader
from head.ensemble import answer_views
from head.ensemble import join_heads
from head.ensemble import train_members
from head.evaluating.intervals import find_interval
from head.evaluating.intervals import resample
from head.evaluating.metrics import softmax
from head.evaluating.metrics import top1
from head.refit import take_train_and_val
from head.spec import HeadSpec
from head.training.train import OnEpoch
from tune.baseline_file import NOT_IN_MEMORY
from tune.baseline_file import find_obstacle
from tune.baselines import run_baselines
from tune.comparing.record import Contestant
from tune.comparing.record import FinishedContest

RIDGE = "ridge"  # In closed form: no learning rate, no seed, no luck.


class Contest:
    """One head on one cache, trained with several seeds.

    Args:
        cache: The features.
        spec: The head.
        memory_limit: See `choose_reader`.
        console: Receives remarks.
    """

    def __init__(
        self,
        cache: FeatureCache,
        spec: HeadSpec,
        *,
        memory_limit: int | None,
        console: Console,
    ) -> None:
        self._cache, self._spec, self._console = cache, spec, console
        read = choose_reader(cache, memory_limit, console)
        self._train, self._val = take_train_and_val(cache, read)
        self._num_classes = len(cache.spec.class_names)
        self._logits: list[np.ndarray] = []
        self._labels = np.empty(0, np.int32)
        self._seconds: list[float] = []

    @property
    def num_val(self) -> int:
        """Number of validation images."""
        return len(self._val)

    def finish(
        self, seeds: Sequence[int], on_epoch: OnEpoch
    ) -> FinishedContest:
        """Trains with all seeds, and returns what came of it.

        Raises:
            DivergedError: If the loss became infinite or no number.
        """
        began = time.monotonic()
        for seed in seeds:
            self.train(seed, on_epoch)
        drawn = self.resample()
        return FinishedContest(
            contestant=self.judge(drawn),
            drawn=tuple(drawn.tolist()),
            num_val=self.num_val,
            seconds=time.monotonic() - began,
        )

    def train(self, seed: int, on_epoch: OnEpoch) -> None:
        """Trains the head once, and keeps what it says of every view.

        Raises:
            DivergedError: If the loss became infinite or no number.
        """
        began = time.monotonic()
        members = train_members(
            self._spec,
            train=self._train,
            val=None,
            num_classes=self._num_classes,
            seed=seed,
            on_epoch=on_epoch,
        )
        self._seconds.append(time.monotonic() - began)
        logits, self._labels = answer_views(
            join_heads([member.model for member in members]),
            self._val,
            num_answered=len(self._cache.spec.views),
        )
        self._logits.append(logits)

    def resample(self) -> np.ndarray:
        """Returns the accuracy on images drawn with replacement, many times.

        The same images are drawn for every cache, so that the difference of
        two of these is one of pairs.

        Returns:
            Of each draw the mean of the seeds, `(num_draws,)`.
        """
        order = self._order()
        drawn = [
            resample(softmax(logits[order, 0]), self._labels[order])["top1"]
            for logits in self._logits
        ]
        mean: np.ndarray = np.mean(drawn, axis=0)
        return mean

    def judge(self, drawn: np.ndarray) -> Contestant:
        """Returns how the head does, but for the difference to another cache.

        Args:
            drawn: What `resample` returned.
        """
        cache, made = self._cache, self._cache.provenance
        accuracies = [
            top1(logits[:, 0], self._labels) for logits in self._logits
        ]
        of_all = [top1(logits.mean(1), self._labels) for logits in self._logits]
        mean = statistics.fmean(accuracies)
        return Contestant(
            cache=str(cache.path),
            fingerprint=cache.fingerprint,
            backbone=cache.spec.backbone,
            image_size=cache.spec.image_size,
            views=cache.spec.views,
            precision=cache.spec.precision,
            dtype=cache.spec.dtype,
            feature_dim=cache.feature_dim,
            num_bytes=sum(cache.files.list_sizes()),
            views_per_second=made.views_per_second,
            engine=made.engine,
            host=made.host,
            val_accuracy=mean,
            val_accuracies=tuple(accuracies),
            interval=find_interval(drawn, mean),
            val_accuracy_all_views=statistics.fmean(of_all),
            ridge_accuracy=self._fit_ridge(),
            train_seconds=statistics.fmean(self._seconds),
        )

    def _order(self) -> np.ndarray:
        """Returns the validation rows in the order of their ids."""
        ids = np.array(self._cache.image_ids("train"))
        split = split_train(ids.tolist())
        return np.argsort(ids[split.val.rows], kind="stable")

    def _fit_ridge(self) -> float | None:
        """Returns the accuracy of the best ridge regression, if any fits."""
        train, val = self._train, self._val
        if not isinstance(train, Rows) or not isinstance(val, Rows):
            self._console.say(f"No ridge regression: {NOT_IN_MEMORY}")
            return None
        if obstacle := find_obstacle(train):
            self._console.say(f"No ridge regression: {obstacle}")
            return None
        found = run_baselines(
            train, val, num_classes=self._num_classes, names=(RIDGE,)
        )
        return found[0].val_accuracy if found else None
