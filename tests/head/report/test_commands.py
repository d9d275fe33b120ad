"""Tests for `head.report.commands`."""

import pytest
import typer

from embed import cli
from embed.backbones import BackboneRequest
from embed.sources import SourceRequest
from head.report.commands import list_build_words
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import create_spec

SOURCE = SourceRequest(
    dataset="folder:/my birds",
    data_dir="/data",
    limit=7,
    labels="/my birds/list.csv",
    label_from="name",
    train_split="train[:80%]",
    test_split="validation",
)
BACKBONE = BackboneRequest(
    handle="keras:ResNet50",
    weights="random",
    image_size=(96, 96),
    seed=3,
    cut="conv4",
)
OF_SPEC = {
    "views": ("plain", "flip", "scale128"),
    "precision": "bfloat16",
    "dtype": "float16",
}
# Options of `build-cache` that change no row, but how one gets there.
OTHERS = {
    *("preset", "engine", "batch_size", "wait", "cache", "artifacts"),
    *("overwrite", "as_json", "verbose", "quiet", "runner", "workers"),
    *("address", "gpus_per_worker", "blocks", "max_file_size"),
}


def read_options(words):
    """Returns what `build-cache` is given by words, by its own parser."""
    command = typer.main.get_command(cli.app).commands["build-cache"]
    return command.make_context("build-cache", list(words)).params


@pytest.mark.parametrize(
    "request_", [SOURCE, BACKBONE], ids=["source", "backbone"]
)
def test_the_requests_below_choose_every_field(request_):
    """A field that is new has to be given a value here, and so an option."""
    for name, field in type(request_).model_fields.items():
        assert getattr(request_, name) != field.default, name


def test_every_option_that_rows_depend_on_is_said():
    """What is typed again is read by the command as it was asked for."""
    made = PROVENANCE.model_copy(
        update={"source": SOURCE, "backbone": BACKBONE}
    )
    usual = read_options([])

    words = list_build_words(create_spec(**OF_SPEC), made)
    options = read_options(words)

    expected = {**SOURCE.model_dump(), **BACKBONE.model_dump()}
    expected["backbone"] = expected.pop("handle")
    expected |= {"image_size": 96, "precision": "bfloat16", "dtype": "float16"}
    expected |= {"views": "plain,flip,scale128"}
    expected |= {"on_error": "skip", "max_pixels": made.max_pixels}
    for path in ("data_dir", "labels"):
        options[path] = str(options[path])
    assert {name: options[name] for name in expected} == expected
    assert usual.keys() - expected.keys() == OTHERS


def test_what_is_usual_is_not_said():
    """A short command stays short."""
    made = PROVENANCE.model_copy(
        update={"skipped": (), "max_pixels": 89_478_485}
    )

    words = list_build_words(create_spec(views=("plain", "flip")), made)

    assert words == [
        *("--dataset", "folder:/pictures", "--backbone", "keras:Tiny"),
        *("--image-size", "8", "--views", "plain,flip"),
    ]
