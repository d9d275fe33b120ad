"""What `head predict` prints: answers as they come, or all in one object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Literal

from embed.console import Console
from embed.console import format_seconds
from embed.errors import SourceError
from embed.reading import PictureFile
from head.predicting.inputs import WAYS
from head.predicting.prediction import Prediction
from head.predicting.prediction import printable

MOST_COLUMNS = 60  # Of a path; a longer one moves what follows.
Form = Literal["text", "json", "lines"]


class PredictionReport:
    """Prints what a model says of pictures, and counts them.

    Args:
        console: Where to.
        class_names: By class number.
        form: `"text"`, a line a picture; `"lines"`, a JSON object a line; or
            `"json"`, one object at the end.
        num_top: How many classes are named.
        files: What will be answered, as far as that is known: paths are
            padded to one width.
    """

    def __init__(
        self,
        console: Console,
        class_names: Sequence[str],
        *,
        form: Form,
        num_top: int,
        files: Sequence[PictureFile] = (),
    ) -> None:
        self._console, self._class_names = console, class_names
        self._errors = Console()  # Which `--quiet` leaves.
        self._form, self._num_top = form, num_top
        columns = [len(printable(file.path)) for file in files]
        self._width = max((c for c in columns if c <= MOST_COLUMNS), default=0)
        self._kept: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        self._num_answered = 0
        self._num_failed = 0

    def add(self, prediction: Prediction) -> None:
        """Prints or keeps one answer; says of a failure why."""
        is_answered = prediction.probabilities is not None
        self._num_answered += is_answered
        self._num_failed += not is_answered
        if not is_answered:
            self._errors.say(
                f"skipped {printable(prediction.path)}: {prediction.problem}"
            )
        payload = prediction.to_payload(self._class_names, self._num_top)
        if self._form == "json":
            self._kept[is_answered].append(payload)
        elif self._form == "lines":
            self._console.result(payload, "")
        elif is_answered:
            text = prediction.to_text(
                self._class_names, self._num_top, self._width
            )
            self._console.result(payload, text)

    def finish(
        self,
        model_path: Path,
        *,
        engine: str,
        seconds: float,
        images_per_second: float,
        kind: Literal["model", "run"] = "model",
    ) -> None:
        """Prints the object, or says how many there were and how fast.

        Args:
            model_path: What answered.
            engine: What ran it.
            seconds: Of the whole command.
            images_per_second: Rate without start-up.
            kind: What the path is of.

        Raises:
            SourceError: If no picture was answered.
        """
        if self._form == "json":
            self._console.result(
                {
                    kind: str(model_path),
                    "predictions": self._kept[True],
                    "failures": self._kept[False],
                    "seconds": seconds,
                    "images_per_second": images_per_second,
                    "engine": engine,
                },
                "",
            )
        if not self._num_answered:
            raise SourceError(
                f"{_count(self._num_failed)} skipped, none answered: the "
                "reasons are above."
                if self._num_failed
                else f"There are no pictures: stdin holds no path. {WAYS}."
            )
        skipped = f", {self._num_failed:,} skipped" if self._num_failed else ""
        self._console.say(
            f"{_count(self._num_answered)} answered in "
            f"{format_seconds(seconds)} ({images_per_second:,.0f} images/s "
            f"after start-up, by {engine}){skipped}."
        )


def _count(number: int) -> str:
    return f"{number:,} picture{'' if number == 1 else 's'}"
