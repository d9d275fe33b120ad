"""What a model says of one picture, for programs and for people."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from head.predicting.neighbours import Neighbour

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"  # For what would break a line.


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Args:
        path: Of the picture, as it was given.
        problem: Why there is no answer, or `""`.
        probabilities: float64 `(num_classes,)`, where there is one.
        features: float32 `(feature_dim,)`, where they were asked for.
        neighbours: Training pictures with the most similar features, the most
            similar first.
    """

    path: str
    problem: str = ""
    probabilities: np.ndarray | None = None
    features: np.ndarray | None = None
    neighbours: tuple[Neighbour, ...] = ()

    def to_payload(
        self, class_names: Sequence[str], num_top: int
    ) -> dict[str, Any]:
        """Returns what `--json` says of it.

        Args:
            class_names: By class number.
            num_top: How many of the most probable ones are named.
        """
        if self.probabilities is None:
            return {"path": self.path, "reason": self.problem}
        best = _order(self.probabilities)[:num_top]
        top = [
            {"class": class_names[n], "probability": float(p)}
            for n, p in zip(best, self.probabilities[best], strict=True)
        ]
        return {
            "path": self.path,
            **top[0],
            "top": top,
            "neighbours": [n.to_payload() for n in self.neighbours],
        }

    def to_text(
        self, class_names: Sequence[str], num_top: int, width: int
    ) -> str:
        """Returns a line for people, and one for its neighbours.

        Args:
            class_names: By class number.
            num_top: How many of the most probable ones are named.
            width: Columns of the path.
        """
        payload = self.to_payload(class_names, num_top)
        classes = ", ".join(
            f"{one['class']} {100 * one['probability']:.1f} %"
            for one in payload["top"]
        )
        text = f"{printable(self.path):{width}}  {classes}"
        if self.neighbours:
            alike = ", ".join(map(str, self.neighbours))
            text += f"\n{'':{width}}  like {printable(alike)}"
        return text


def printable(text: str) -> str:
    """Returns text that stays on its line, whatever is in a file's name."""
    return "".join(c if c.isprintable() else UNPRINTABLE for c in text)


def _order(probabilities: np.ndarray) -> np.ndarray:
    """Returns class numbers, the first of the most probable ones first."""
    return np.argsort(-probabilities, kind="stable")
