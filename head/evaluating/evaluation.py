"""An evaluation: all that is measured of what a run says of the test split."""

import dataclasses
from typing import Any

import numpy as np

from head.evaluating.answers import Answers
from head.evaluating.groups import ALL
from head.evaluating.groups import Groups
from head.evaluating.intervals import Intervals
from head.evaluating.intervals import find_intervals
from head.evaluating.intervals import resample
from head.evaluating.metrics import ClassMetrics
from head.evaluating.metrics import Metrics
from head.evaluating.metrics import measure
from head.evaluating.metrics import measure_classes
from head.evaluating.metrics import softmax
from head.evaluating.reliability import draw_chance

# Not of a group: what is answered for images of other classes is not in it.
OF_ALL_CLASSES = "macro_f1"


@dataclasses.dataclass(frozen=True)
class Measured:
    """Metrics of some images.

    Args:
        metrics: By themselves.
        intervals: 95 % intervals by name of the metric, but of `ece`.
        ece_if_calibrated: Where `ece` would be in 95 % of all cases if every
            confidence were exactly right.
    """

    metrics: Metrics
    intervals: Intervals
    ece_if_calibrated: tuple[float, float]

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints of it."""
        return {
            **dataclasses.asdict(self.metrics),
            "intervals": self.intervals,
            "ece_if_calibrated": self.ece_if_calibrated,
        }


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The mean of several views against the plain one, image by image.

    Args:
        one_view: Metrics of the plain view.
        differences: By name of the metric, that of the mean less that.
        intervals: 95 % intervals of the differences.
    """

    one_view: Metrics
    differences: dict[str, float]
    intervals: Intervals


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a run does on the test split.

    Args:
        answers: What was measured.
        of_groups: Over the images of each group of classes; the first, `all`,
            has all of them.
        classes: By name of the class.
        calibrated: Over all test images after division by the temperature,
            if there is one.
        comparison: With one view, if there are more.
    """

    answers: Answers
    of_groups: dict[str, Measured]
    classes: dict[str, ClassMetrics]
    calibrated: Measured | None
    comparison: Comparison | None

    @property
    def metrics(self) -> Metrics:
        """Over all test images."""
        return self.of_groups[ALL].metrics

    @property
    def groups(self) -> dict[str, Metrics]:
        """Over the images of each group of classes."""
        return {name: of.metrics for name, of in self.of_groups.items()}

    @property
    def logits(self) -> np.ndarray:
        """Of the test images, float32 `(num_images, num_classes)`."""
        return self.answers.logits

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        of_all = self.of_groups[ALL].to_payload()
        groups = {name: of.to_payload() for name, of in self.of_groups.items()}
        for group in groups.values():
            group["intervals"] = dict(group["intervals"])
            del group[OF_ALL_CLASSES], group["intervals"][OF_ALL_CLASSES]
        return {
            **of_all,
            "calibrated": self._calibrated_payload(),
            "groups": groups,
            "classes": {
                name: dataclasses.asdict(of_class)
                for name, of_class in self.classes.items()
            },
            "tta": self.comparison and dataclasses.asdict(self.comparison),
            "seeds": None,  # Until `head.evaluating.seeds` judges others.
            "views": self.answers.views,
            "end_to_end": self.answers.is_end_to_end,
        }

    def _calibrated_payload(self) -> dict[str, Any] | None:
        """Returns what a temperature changes: no first class, no order."""
        if self.calibrated is None:
            return None
        of_all = self.calibrated
        return {
            "temperature": self.answers.temperature,
            "nll": of_all.metrics.nll,
            "ece": of_all.metrics.ece,
            "intervals": {"nll": of_all.intervals["nll"]},
            "ece_if_calibrated": of_all.ece_if_calibrated,
        }


def measure_answers(answers: Answers, groups: Groups) -> Evaluation:
    """Measures what a head says of at least one image.

    Args:
        answers: What it says.
        groups: Class numbers by group, `all` among them.
    """
    labels, probabilities = answers.labels, answers.probabilities
    calibrated = answers.calibrated_probabilities
    return Evaluation(
        answers=answers,
        of_groups={
            name: _measure(probabilities[is_in], labels[is_in])
            for name, classes in groups.items()
            if (is_in := np.isin(labels, classes)).any()
        },
        classes=dict(
            zip(
                answers.class_names,
                measure_classes(probabilities, labels),
                strict=True,
            )
        ),
        calibrated=None if calibrated is None else _measure(calibrated, labels),
        comparison=_compare(answers) if len(answers.views) > 1 else None,
    )


def _measure(probabilities: np.ndarray, labels: np.ndarray) -> Measured:
    metrics = measure(probabilities, labels)
    return Measured(
        metrics=metrics,
        intervals=find_intervals(
            resample(probabilities, labels), dataclasses.asdict(metrics)
        ),
        ece_if_calibrated=draw_chance(probabilities).error,
    )


def _compare(answers: Answers) -> Comparison:
    plain, labels = softmax(answers.logits_of_views[:, 0]), answers.labels
    one_view, of_mean = (
        dataclasses.asdict(measure(probabilities, labels))
        for probabilities in (plain, answers.probabilities)
    )
    first = resample(answers.probabilities, labels)
    second = resample(plain, labels)
    differences = {
        name: figure - one_view[name]
        for name, figure in of_mean.items()
        if name != "num_images"
    }
    return Comparison(
        one_view=Metrics(**one_view),
        differences=differences,
        intervals=find_intervals(
            {name: first[name] - second[name] for name in first}, differences
        ),
    )
