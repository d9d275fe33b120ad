"""Tests for `tune.plots`."""

import pytest
from matplotlib.image import imread

from head.spec import HeadSpec
from tune.plots import PANELS
from tune.plots import draw_search
from tune.plots import find_panels
from tune.plots import kind_of_head
from tune.trials import TrialRecord

ALL_AT_ONCE = {
    "learning_rate": 0.0123,
    "dropout": 0.1,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "epochs": 10,
    "normalization": "l2",
    "temperature": 0.05,
    "schedule": "cosine",
    "warmup_epochs": 2,
    "mixup": 0.3,
    "view_mixing": True,
}


def create_trials(*fields, reference=None):
    """Returns trials of these fields, worse and worse, after the reference."""
    reference = reference or {}
    ids = ["reference", *(f"{number:02}" for number in range(len(fields)))]
    return [
        TrialRecord(
            trial_id=trial_id,
            spec=HeadSpec(**some),
            status="completed",
            val_accuracy=0.9 - 0.01 * number,
            val_loss=0.5,
            seconds=1.0,
        )
        for number, (trial_id, some) in enumerate(
            zip(ids, (reference, *fields), strict=True)
        )
    ]


def test_what_varied_has_a_panel():
    """What was the same in all trials has none."""
    panels = find_panels(create_trials({}, ALL_AT_ONCE))

    # Of the heads with a temperature there is one alone, with a hidden layer
    # none.
    assert list(panels) == [
        name for name in PANELS if name not in ("temperature", "hidden_units")
    ]


def test_the_reference_recipe_does_not_count():
    """Its panel would have one value for all that was searched."""
    trials = create_trials({"epochs": 60}, {"epochs": 60, "dropout": 0.5})

    assert list(find_panels(trials)) == ["dropout"]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("temperature", 0.05, 0.1), ("hidden_units", 64, 128)],
)
def test_what_some_heads_have_is_shown_of_those(name, low, high):
    """A dense head has no temperature, also not one of 0."""
    trials = create_trials({}, {name: low}, {name: high})

    assert find_panels(trials)[name] == trials[2:]


def test_kinds_of_heads_are_three():
    """And the two that go together."""
    fields = {"temperature": 0.05, "hidden_units": 64}

    assert kind_of_head(HeadSpec()) == "dense"
    assert kind_of_head(HeadSpec(temperature=0.05)) == "cosine"
    assert kind_of_head(HeadSpec(hidden_units=64)) == "hidden"
    assert kind_of_head(HeadSpec(**fields)) == "hidden, cosine"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [{}],
        [{}, ALL_AT_ONCE],
        [{"temperature": 0.05}, {"temperature": 0.051}, {"hidden_units": 64}],
        [{"mixup": mixup} for mixup in (0.0, 0.05, 1.0)],
    ],
)
def test_the_picture_is_drawn(fields, tmp_path):
    """One trial is enough; a failed or a far worse one does no harm."""
    trials = create_trials(*fields)
    failed = {"val_accuracy": None, "val_loss": None, "status": "failed"}
    worse = {"val_accuracy": 0.01}
    trials += [
        trials[0].model_copy(update={"trial_id": str(number + 90), **update})
        for number, update in enumerate((worse, failed))
    ]

    draw_search(trials, tmp_path / "search.png")

    height, width, _ = imread(tmp_path / "search.png").shape
    assert width > height > 200


def test_all_hyperparameters_fit_into_one_picture(tmp_path):
    """The panels of a whole space are wider than high together."""
    trials = create_trials(
        {},
        ALL_AT_ONCE,
        {"temperature": 0.1},
        {"hidden_units": 64},
        {"hidden_units": 128},
    )
    assert list(find_panels(trials)) == list(PANELS)

    draw_search(trials, tmp_path / "search.png")

    height, width, _ = imread(tmp_path / "search.png").shape
    assert 2000 > width > height > 800


def test_every_searched_field_may_have_a_panel():
    """A new hyperparameter is not left out of the picture."""
    same = {
        "batch_size",
        "fingerprint",
        "chosen_on",
        "chosen_on_rows",
        "others",
    }

    assert PANELS.keys() - {"head"} == HeadSpec.model_fields.keys() - same
