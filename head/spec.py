"""What a head is and how it is trained: the one interface of `tune` and `head`.

A `HeadSpec` is one JSON file. The search writes its winner as `best.json`;
`head train` reads it. It holds no seed: a seed belongs to a run. Where it has
`others` it is an ensemble, one head that averages the logits of its members.
"""

import hashlib
import json
from pathlib import Path
from typing import Any
from typing import Literal

import pydantic

from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.spec import CacheSpec

BEST = "best.json"  # What a search calls the spec of its winner.

Normalization = Literal["none", "l2", "sqrt", "standardize"]
Schedule = Literal["constant", "cosine"]


class HeadSpec(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Everything that determines the training of a head but rows and seed.

    The defaults are the reference recipe: TensorFlow Hub's transfer learning
    head on Oxford-IIIT Pet, 91.11 % on all 37 breeds.

    Args:
        learning_rate: Step size of Adam.
        dropout: Share of the features dropped before each dense layer.
        weight_decay: Decoupled weight decay (AdamW); 0 is plain Adam.
        label_smoothing: Probability mass spread over all classes.
        epochs: Passes over the training images, one view drawn per image
            and pass.
        batch_size: Images a step.
        hidden_units: Width of a hidden ReLU layer; 0 for none.
        normalization: What is done to each feature vector first: nothing,
            scale to unit length, signed square root, or standardise each
            feature by the training rows.
        temperature: Of a cosine head: its logits are the cosines of the angles
            between features and one vector a class, divided by it. `None` for
            a dense layer.
        schedule: Whether the learning rate stays, or falls to zero.
        warmup_epochs: For how long the learning rate rises at first.
        mixup: Parameter of the beta distribution by which each image is mixed
            with another one; 0 for no mixtures.
        view_mixing: Whether two views of an image are mixed, by shares drawn
            anew each time, where otherwise one is drawn.
        fingerprint: Of the cache the spec was chosen on; `None` when it was
            chosen on none, as a recipe is.
        chosen_on: What that cache was made from; in a `best.json` alone.
        chosen_on_rows: On how many images of its train split it was chosen,
            where they were a sample; in a `best.json` alone.
        others: Further heads, trained like this one, whose logits are
            averaged with its own; they have no others themselves.
    """

    learning_rate: float = pydantic.Field(default=5e-4, gt=0)
    dropout: float = pydantic.Field(default=0.25, ge=0, lt=1)
    weight_decay: float = pydantic.Field(default=0.0, ge=0)
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=1)
    epochs: int = pydantic.Field(default=30, ge=1)
    batch_size: int = pydantic.Field(default=32, ge=1)
    hidden_units: int = pydantic.Field(default=0, ge=0)
    normalization: Normalization = "none"
    temperature: float | None = pydantic.Field(default=None, gt=0)
    schedule: Schedule = "constant"
    warmup_epochs: int = pydantic.Field(default=0, ge=0)
    mixup: float = pydantic.Field(default=0.0, ge=0)
    view_mixing: bool = False
    fingerprint: str | None = None
    # In no dump: class names may be thousands, and a spec lies in each trial.
    chosen_on: CacheSpec | None = pydantic.Field(default=None, exclude=True)
    chosen_on_rows: int | None = pydantic.Field(
        default=None, ge=1, exclude=True
    )
    others: tuple["HeadSpec", ...] = ()

    @pydantic.field_validator("others")
    @classmethod
    def _require_single_heads(
        cls, others: tuple["HeadSpec", ...]
    ) -> tuple["HeadSpec", ...]:
        for number, other in enumerate(others):
            if other.others:
                raise ValueError(
                    f"others[{number}] has others of its own; write all heads "
                    "of an ensemble in one list"
                )
        # The ensemble says what it was chosen on; a member may come from the
        # best.json of another search on the same cache.
        return tuple(other.without_origin() for other in others)

    @pydantic.model_validator(mode="after")
    def _require_one_cache(self) -> "HeadSpec":
        if self.chosen_on and self.chosen_on.fingerprint() != self.fingerprint:
            raise ValueError(
                f"fingerprint={self.fingerprint} is not that of chosen_on, "
                f"{self.chosen_on.fingerprint()}"
            )
        for number, other in enumerate(self.others):
            if other.fingerprint != self.fingerprint:
                raise ValueError(
                    f"fingerprint={self.fingerprint} is not that of "
                    f"others[{number}], {other.fingerprint}"
                )
        return self

    @pydantic.model_serializer(mode="wrap")
    def _leave_out_no_others(
        self, handler: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        # A single head has the text, and so the digest and the run, that it
        # had before there were ensembles.
        fields: dict[str, Any] = handler(self)
        if not self.others:
            fields.pop("others", None)
        return fields

    @property
    def members(self) -> tuple["HeadSpec", ...]:
        """The heads that are trained: this one without others, then those."""
        return self.model_copy(update={"others": ()}), *self.others

    def without_origin(self) -> "HeadSpec":
        """Returns what is in every dump: of its cache the fingerprint alone."""
        return self.model_copy(
            update={"chosen_on": None, "chosen_on_rows": None}
        )

    def with_fingerprint(self, fingerprint: str | None) -> "HeadSpec":
        """Returns the same training, chosen on another cache or on none."""
        others = tuple(o.with_fingerprint(fingerprint) for o in self.others)
        return self.without_origin().model_copy(
            update={"fingerprint": fingerprint, "others": others}
        )

    def to_json(self) -> str:
        """Returns the canonical text: keys sorted, defaults written out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    def digest(self) -> str:
        """Returns the SHA-256 of the canonical text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


RECIPES: dict[str, HeadSpec] = {"reference": HeadSpec()}


def format_best(
    spec: HeadSpec, chosen_on: CacheSpec, num_rows: int | None = None
) -> str:
    """Returns the text of a `best.json`, which may be copied anywhere.

    Args:
        spec: What won; an ensemble is the best head with the `others`.
        chosen_on: What the cache it won on was made from.
        num_rows: Images that it won on, if they were a sample.
    """
    winner = spec.with_fingerprint(chosen_on.fingerprint())
    fields = winner.model_dump(mode="json")
    if num_rows is not None:
        fields["chosen_on_rows"] = num_rows
    fields["chosen_on"] = chosen_on.model_dump(mode="json")
    return json.dumps(fields, indent=2, ensure_ascii=False)


def load_spec(path: Path) -> HeadSpec:
    """Reads a `HeadSpec` from a JSON file.

    Raises:
        MissingArtifactError: If there is no such file.
        PipelineError: If it holds no head spec.
    """
    try:
        return HeadSpec.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        raise MissingArtifactError(
            f"There is no head spec at {path}. Expected: a JSON file such as "
            "the best.json of a search. Find one with "
            "`python -m tune search`."
        ) from error
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        detail = str(error).replace("\n", " ")
        raise PipelineError(
            f"The file {path} is no head spec. Expected: the JSON fields "
            f"{sorted(HeadSpec.model_fields)}. Received: {detail}. Write one "
            "with `python -m tune search`."
        ) from error
