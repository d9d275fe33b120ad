"""What identifies a search, and the digest made from it."""

import hashlib
import importlib.metadata
import json
from typing import Any
from typing import Literal
from typing import Self

import pydantic

from embed.cache import FeatureCache

OracleName = Literal["random", "bayesian", "hyperband", "grid"]

# Increment when `tune.space` asks or answers otherwise, or an oracle of ours.
SPACE_VERSION = 3
DIGEST_DIGITS = 10  # 40 bits: enough to name folders.


class SearchSpec(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Everything that determines the trials of a search, and nothing else.

    Args:
        fingerprint: Of the cache the heads are trained on.
        pictures_digest: Of the content of its pictures.
        oracle: What proposes the trials.
        max_trials: Largest number of trials.
        max_epochs: Largest number of epochs of a trial.
        parallel: Trials that are drawn at once: Bayes and Hyperband propose
            others when they know less.
        folds: On how many folds trials are scored; 1 for the validation part
            alone.
        rows: Images of the train split that heads are trained and scored on,
            a sample of them; `None` for all.
        seed: Of the oracle and of every training.
        space_version: Of `tune.space` and `tune.oracles`.
        keras_tuner: Version of the package, whose oracles differ by version.
    """

    fingerprint: str
    pictures_digest: str
    oracle: OracleName
    max_trials: int = pydantic.Field(ge=1)
    max_epochs: int = pydantic.Field(ge=1)
    parallel: int = pydantic.Field(ge=1)
    folds: int = pydantic.Field(default=1, ge=1)
    rows: int | None = pydantic.Field(default=None, ge=1)
    seed: int = pydantic.Field(ge=0)
    space_version: int = SPACE_VERSION
    keras_tuner: str = pydantic.Field(
        default_factory=lambda: importlib.metadata.version("keras-tuner")
    )

    @pydantic.model_serializer(mode="wrap")
    def _leave_out_no_rows(
        self, handler: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        # A search on all rows has the text, and so the digest and the folder,
        # that it had before there were samples.
        fields: dict[str, Any] = handler(self)
        if self.rows is None:
            fields.pop("rows", None)
        return fields

    @classmethod
    def of(
        cls, cache: FeatureCache, *, rows: int | None = None, **options: Any
    ) -> Self:
        """Returns what determines a search on a cache.

        Args:
            cache: What heads are trained on.
            rows: Images to search on; as many as there are, or more, are all.
            options: The other fields, by name.
        """
        if rows is not None and rows >= cache.num_images["train"]:
            rows = None
        return cls(
            fingerprint=cache.fingerprint,
            pictures_digest=cache.pictures_digest(),
            rows=rows,
            **options,
        )

    @property
    def continues(self) -> bool:
        """Whether trials go on with the trainings of others."""
        return self.oracle == "hyperband"

    def to_json(self) -> str:
        """Returns the canonical text: keys sorted, defaults written out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    def digest(self) -> str:
        """Returns the hexadecimal digits that stand for this spec."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return digest[:DIGEST_DIGITS]
