"""Tests for `head.spec`."""

import json

import pydantic
import pytest

from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.spec import CacheSpec
from head.spec import RECIPES
from head.spec import HeadSpec
from head.spec import format_best
from head.spec import load_spec

CACHE_SPEC = CacheSpec(
    dataset="folder",
    dataset_version="",
    class_names=("cat", "été"),
    splits={},
    backbone="keras:Tiny",
    weights_digest="w" * 64,
    image_size=(8, 8),
    views=("plain",),
)


def test_the_reference_recipe_is_the_published_one():
    """Dropout 0.25, Adam at 5e-4, batch 32, 30 epochs, one dense layer."""
    recipe = RECIPES["reference"]

    assert recipe == HeadSpec(
        learning_rate=5e-4,
        dropout=0.25,
        weight_decay=0.0,
        label_smoothing=0.0,
        epochs=30,
        batch_size=32,
        hidden_units=0,
        normalization="none",
    )


def test_a_spec_survives_its_file(tmp_path):
    """What the search writes is what the training reads."""
    spec = HeadSpec(dropout=0.1, normalization="l2", fingerprint="f" * 16)
    path = tmp_path / "best.json"
    path.write_text(spec.to_json())

    assert load_spec(path) == spec


def test_a_winner_knows_its_cache(tmp_path):
    """What lies in a `best.json` alone says what the cache was made from."""
    path = tmp_path / "best.json"
    path.write_text(format_best(HeadSpec(dropout=0.1), CACHE_SPEC), "utf-8")

    spec = load_spec(path)

    assert spec.dropout == 0.1
    assert spec.chosen_on == CACHE_SPEC
    assert spec.fingerprint == CACHE_SPEC.fingerprint()


def test_only_a_winner_carries_its_cache():
    """A thousand class names are not in each trial, nor in a digest."""
    spec = HeadSpec(fingerprint=CACHE_SPEC.fingerprint())
    winner = HeadSpec(fingerprint=spec.fingerprint, chosen_on=CACHE_SPEC)

    assert winner.model_dump_json() == spec.model_dump_json()
    assert winner.digest() == spec.digest()


def test_a_winner_knows_on_how_many_images_it_was_chosen(tmp_path):
    """Of a sample alone: else its text is what it was before there were any."""
    path = tmp_path / "best.json"
    path.write_text(format_best(HeadSpec(), CACHE_SPEC, 1000), "utf-8")

    spec = load_spec(path)

    assert spec.chosen_on_rows == 1000
    assert spec.to_json() == spec.without_origin().to_json()
    assert spec.with_fingerprint(None) == HeadSpec()
    assert "chosen_on_rows" not in format_best(HeadSpec(), CACHE_SPEC)


def test_a_winner_of_two_caches_is_refused(tmp_path):
    """A fingerprint that is not that of the recorded cache is no winner's."""
    fields = json.loads(format_best(HeadSpec(), CACHE_SPEC))
    path = tmp_path / "best.json"
    path.write_text(json.dumps({**fields, "fingerprint": "0" * 16}))

    with pytest.raises(PipelineError, match="python -m tune search"):
        load_spec(path)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    """No spec is an error that names the search."""
    with pytest.raises(MissingArtifactError, match="python -m tune search"):
        load_spec(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"dropout": 2}', '{"a": 1}'])
def test_a_foreign_file_is_one_line(tmp_path, text):
    """A file that holds no head spec is named, with the fields expected."""
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(PipelineError, match="learning_rate") as caught:
        load_spec(path)

    assert "\n" not in str(caught.value)


def test_unknown_fields_are_refused():
    """A misspelt hyperparameter is never silently ignored."""
    with pytest.raises(pydantic.ValidationError, match="droput"):
        HeadSpec(droput=0.1)


def test_a_single_head_says_nothing_of_others():
    """Its text and digest, and the names of its runs, stay what they were."""
    assert HeadSpec().to_json() == (
        '{"batch_size": 32, "dropout": 0.25, "epochs": 30, '
        '"fingerprint": null, "hidden_units": 0, "label_smoothing": 0.0, '
        '"learning_rate": 0.0005, "mixup": 0.0, "normalization": "none", '
        '"schedule": "constant", "temperature": null, "view_mixing": false, '
        '"warmup_epochs": 0, "weight_decay": 0.0}'
    )
    assert HeadSpec(others=()).digest() == HeadSpec().digest()


def test_an_ensemble_survives_its_file(tmp_path):
    """Its members are read as they were written, each a head of its own."""
    others = (HeadSpec(dropout=0.1), HeadSpec(hidden_units=8))
    spec = HeadSpec(epochs=5, others=others)
    path = tmp_path / "best.json"
    path.write_text(spec.to_json())

    found = load_spec(path)

    assert found == spec
    assert found.members == (HeadSpec(epochs=5), *others)
    assert found.digest() != HeadSpec(epochs=5).digest()


def test_a_single_head_is_its_only_member():
    """What trains an ensemble trains it as well."""
    spec = HeadSpec(dropout=0.1)

    assert spec.members == (spec,)


def test_a_winning_ensemble_knows_its_cache(tmp_path):
    """All its members have the fingerprint, and the cache is in it once."""
    spec = HeadSpec(others=(HeadSpec(dropout=0.1),))
    path = tmp_path / "best.json"
    path.write_text(format_best(spec, CACHE_SPEC), "utf-8")

    found = load_spec(path)

    assert found.chosen_on == CACHE_SPEC
    fingerprints = {member.fingerprint for member in found.members}
    assert fingerprints == {CACHE_SPEC.fingerprint()}
    assert path.read_text("utf-8").count('"chosen_on"') == 1


def test_winners_can_be_put_together_by_hand(tmp_path):
    """A `best.json` among the others of another one is one of its members."""
    first, second = (
        json.loads(format_best(HeadSpec(dropout=dropout), CACHE_SPEC))
        for dropout in (0.1, 0.2)
    )
    path = tmp_path / "best.json"
    path.write_text(json.dumps({**first, "others": [second]}))

    found = load_spec(path)

    assert [member.dropout for member in found.members] == [0.1, 0.2]
    assert found.others[0].chosen_on is None


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ('[{"others": [{}]}]', r"others\[0\] has others of its own"),
        ('[{}, {"fingerprint": "f"}]', r"others\[1\], f"),
        ('[{"dropout": 2}]', r"others\.0\.dropout"),
        ('[{"droput": 0.1}]', r"others\.0\.droput"),
        ('"reference"', "others"),
        ("3", "others"),
        ("null", "others"),
    ],
)
def test_a_file_of_no_ensemble_names_the_problem(tmp_path, others, problem):
    """One line says which member is wrong, and in what."""
    path = tmp_path / "best.json"
    path.write_text(f'{{"others": {others}}}')

    with pytest.raises(PipelineError, match=problem) as caught:
        load_spec(path)

    assert "\n" not in str(caught.value)


def test_another_cache_is_that_of_all_members():
    """An ensemble is never of two caches, whatever is done with it."""
    spec = HeadSpec(fingerprint="f", others=(HeadSpec(fingerprint="f"),))

    recipe = spec.with_fingerprint(None)

    assert recipe == HeadSpec(others=(HeadSpec(),))
