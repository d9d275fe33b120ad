"""Tests for `head.demo.showcase`."""

import shutil

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.console import Console
from embed.extract import build_cache
from embed.origin import decode_pictures
from embed.sources import SourceRequest
from head.demo.showcase import Showcase
from head.predicting.exported import find_model
from tests.conftest import TINY_SIZE


@pytest.fixture(name="model", scope="module")
def _model(tiny_export):
    return find_model(tiny_export.artifacts_dir, tiny_export.model)


@pytest.fixture(name="showcase", scope="module")
def _showcase(tiny_export, model):
    """Shows two similar pictures with each answer."""
    return Showcase(model, tiny_export.cache, num_neighbours=2)


def test_it_answers_picture_after_picture(showcase, tiny_export):
    """Each answer is what the head says of the cached features."""
    names = [n.replace("_", " ") for n in tiny_export.cache.spec.class_names]

    for path, expected in zip(
        tiny_export.test_paths, tiny_export.expected(), strict=True
    ):
        confidences = showcase.to_confidences(showcase.answer(path))

        assert list(confidences) == names
        assert list(confidences.values()) == pytest.approx(
            expected.tolist(), abs=1e-5
        )


def test_a_file_that_is_no_picture_has_a_reason(showcase, tmp_path):
    """It says why, and the next picture is answered as ever."""
    path = tmp_path / "letter.jpg"
    path.write_text("Dear all,")

    prediction = showcase.answer(str(path))

    assert prediction.problem == "it is text, no picture"
    assert showcase.to_confidences(prediction) == {}


def test_similar_pictures_are_those_of_the_cache(showcase, tiny_export):
    """Pixels belong to the captions, the most similar picture first."""
    neighbours = showcase.answer(tiny_export.test_paths[0]).neighbours[::-1]

    shown = showcase.find_pictures(neighbours)

    assert len(shown) == 2
    for (pixels, caption), neighbour in zip(shown, neighbours, strict=True):
        (expected,) = decode_pictures(
            tiny_export.cache, "train", [neighbour.image_id]
        )
        np.testing.assert_array_equal(pixels, np.round(255 * expected))
        name = neighbour.class_name.replace("_", " ")
        assert caption == f"{name}, {neighbour.similarity:.2f}"


def test_examples_are_test_pictures_of_each_class(
    showcase, tiny_export, tmp_path
):
    """They are the files themselves, which a browser can draw."""
    paths = showcase.write_examples(tmp_path)

    known = {
        (tiny_export.pictures / "test" / i).read_bytes(): label
        for i, label in zip(
            tiny_export.cache.image_ids("test"),
            tiny_export.cache.labels("test").tolist(),
            strict=True,
        )
    }
    labels = [known[path.read_bytes()] for path in paths]
    num_classes = len(tiny_export.cache.spec.class_names)
    assert sorted(labels) == list(range(num_classes))


def test_pictures_that_are_gone_are_named(tiny_export, model, tmp_path, capsys):
    """It answers all the same, and says that it cannot show them."""
    moved = tmp_path / "moved"
    shutil.move(tiny_export.pictures, moved)
    try:
        showcase = Showcase(
            model, tiny_export.cache, num_neighbours=2, console=Console()
        )
        path = moved / "test" / tiny_export.cache.image_ids("test")[0]
        prediction = showcase.answer(str(path))
    finally:
        shutil.move(moved, tiny_export.pictures)

    assert "Similar pictures are named, not shown" in capsys.readouterr().err
    assert not showcase.has_pictures
    assert len(prediction.neighbours) == 2
    assert showcase.find_pictures(prediction.neighbours) == []
    assert showcase.write_examples(tmp_path) == []


def test_pictures_without_labels_may_be_the_similar_ones(
    tiny_export, tiny_module_dir, model, tmp_path
):
    """Each is shown with its similarity alone; there are none to try."""
    cache = build_cache(
        BuildRequest(
            source=SourceRequest(
                dataset=f"folder:{tiny_export.pictures}", label_from="none"
            ),
            backbone=BackboneRequest(
                handle=f"hub:{tiny_module_dir}", image_size=TINY_SIZE
            ),
            engine="tensorflow",
        ),
        artifacts_dir=tmp_path,
    ).cache
    showcase = Showcase(model, cache, num_neighbours=2)
    neighbours = showcase.answer(tiny_export.test_paths[0]).neighbours

    shown = showcase.find_pictures(neighbours)

    assert showcase.kind_of_neighbours == "pictures"
    assert neighbours[0].similarity == pytest.approx(1.0)  # The file itself.
    assert [caption for _, caption in shown] == [
        f"{neighbour.similarity:.2f}" for neighbour in neighbours
    ]
    assert showcase.write_examples(tmp_path) == []
