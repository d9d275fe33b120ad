"""Heads on caches of many views: judged and exported from whole pictures."""

import json

import numpy as np
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.console import Console
from embed.errors import EngineError
from embed.extract import build_cache
from embed.reading import PictureFile
from embed.sources import SourceRequest
from embed.splits import Selection
from head.evaluating.evaluate import columns_of
from head.evaluating.evaluate import evaluate
from head.evaluating.evaluate import logits_of_features
from head.evaluating.metrics import softmax
from head.evaluating.pictures import draw_sample
from head.exporting.export import export_full_model
from head.exporting.formats import FormatError
from head.predicting.exported import find_model
from head.predicting.predict import Predictor
from head.refit import train_run
from head.run import load_run
from head.spec import HeadSpec
from tests.any_size_module import save_any_size_module
from tests.conftest import TINY_SIZE
from tests.conftest import write_pictures

VIEWS = ("plain", "flip", "center", "top-left+flip", "scale12", "scale12+flip")
CHOSEN = ("plain", "center", "top-left+flip", "scale12+flip")
TOLERANCE = 1e-4  # Of the largest logit, as the gate has it.


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("views")


@pytest.fixture(name="cache", scope="module")
def _cache(folder):
    """The drawn pictures in six views, by a backbone of any size."""
    write_pictures(folder / "pictures")
    save_any_size_module(folder / "module")
    return build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / 'pictures'}"),
            backbone=BackboneRequest(
                handle=f"hub:{folder / 'module'}", image_size=TINY_SIZE
            ),
            views=VIEWS,
            engine="tensorflow",
        ),
        artifacts_dir=folder / "artifacts",
    ).cache


@pytest.fixture(name="run", scope="module")
def _run(cache, folder):
    """A head on them that averages four of the views."""
    run = train_run(
        cache,
        HeadSpec(epochs=20, learning_rate=0.05),
        seed=0,
        artifacts_dir=folder / "artifacts",
    )
    record = run.record.model_copy(update={"tta_views": CHOSEN})
    (run.directory / "run.json").write_text(record.model_dump_json())
    return load_run(run.directory)


@pytest.fixture(name="expected", scope="module")
def _expected(cache, run):
    """The mean of the four on the test split, from the cache."""
    features = cache.take(Selection("test")).features
    columns = columns_of(cache, CHOSEN)
    return logits_of_features(run.load_head(), features[:, columns])


@pytest.fixture(name="export", scope="module")
def _export(cache, run, folder):
    """The export that averages them."""
    return export_full_model(
        run,
        cache,
        artifacts_dir=folder / "artifacts",
        formats=["savedmodel"],
        is_averaged=True,
    )


def test_pictures_give_what_the_cache_gives(cache, run, expected):
    """End to end every view comes from one decode, at its own size."""
    evaluation = evaluate(run, cache, is_averaged=True, is_end_to_end=True)

    np.testing.assert_allclose(evaluation.logits, expected, atol=1e-4)
    assert evaluation.answers.views == CHOSEN


def test_a_saved_model_builds_all_views_of_a_picture(
    cache, export, expected, folder
):
    """Both signatures take bytes, and answer the mean of the cached head."""
    loaded = tf.saved_model.load(str(export.formats["savedmodel"]))
    encoded = [
        (folder / "pictures" / "test" / name).read_bytes()
        for name in cache.image_ids("test")
    ]

    answers = [
        loaded.signatures[name](encoded=tf.constant(encoded))
        for name in ("serve_bytes", "serving_default")
    ]

    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    for answer in answers:
        np.testing.assert_allclose(answer["logits"], expected, atol=allowed)
        np.testing.assert_allclose(
            answer["probabilities"], softmax(expected), atol=1e-4
        )
    assert export.parity["savedmodel"].max_abs_diff <= allowed
    assert export.scores["savedmodel"].top1_agreement == 1
    assert export.directory.name.endswith("-tta")


def test_the_documents_say_what_is_averaged(export):
    """And that pixels are not taken."""
    assets = export.formats["savedmodel"] / "assets"
    fields = json.loads((assets / "preprocessing.json").read_text("utf-8"))
    card = (export.directory / "README.md").read_text("utf-8")

    assert fields["input"]["name"] == "encoded"
    assert fields["inside_the_model"]["averaged_views"] == list(CHOSEN)
    assert not fields["inside_the_model"]["average_of_image_and_mirror"]
    assert "the mean over 4 views" in card
    assert ", ".join(CHOSEN) in card
    assert "`images`" not in card


def test_formats_of_pixels_are_refused(run, cache, tmp_path):
    """What can only mirror is not written, and nothing stands for it."""
    with pytest.raises(FormatError, match=r"mirror and nothing else.*center"):
        export_full_model(
            run,
            cache,
            artifacts_dir=tmp_path,
            formats=["keras", "tflite"],
            is_averaged=True,
        )
    assert not list(tmp_path.glob("models/*"))

    export = export_full_model(
        run,
        cache,
        artifacts_dir=tmp_path,
        formats=["savedmodel", "keras"],
        is_averaged=True,
    )

    assert list(export.scores) == ["savedmodel"]
    assert "`--format savedmodel`" in export.refused["keras"]
    assert not (export.directory / "model.keras").exists()


def test_without_tta_pixels_are_enough(run, cache, tmp_path):
    """The plain view is exported as ever, whatever others there are."""
    export = export_full_model(
        run, cache, artifacts_dir=tmp_path, formats=["keras"]
    )

    assert export.scores["keras"].top1_agreement == 1


def test_predict_answers_by_whole_pictures(
    cache, export, expected, folder, tmp_path
):
    """What cannot be decoded is told, and stops no other picture."""
    model = find_model(folder / "artifacts", export.directory)
    paths = [
        folder / "pictures" / "test" / name for name in cache.image_ids("test")
    ]
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(paths[0].read_bytes()[:100])
    files = [PictureFile(str(path)) for path in (paths[0], damaged, *paths[1:])]
    predictor = Predictor(model)

    answers = list(predictor.run(files, len(files)))

    assert [answer.path for answer in answers] == [f.path for f in files]
    assert "damaged" in answers[1].problem or "JPEG" in answers[1].problem
    good = [a.probabilities for a in answers if a.probabilities is not None]
    np.testing.assert_allclose(good, softmax(expected), atol=1e-4)
    assert (predictor.engine, predictor.num_answered) == ("tensorflow", 12)


def test_other_engines_cannot_decode(export, folder):
    """One line says which can."""
    model = find_model(folder / "artifacts", export.directory)

    with pytest.raises(EngineError, match="TensorFlow alone decodes"):
        Predictor(model, engine="litert", console=Console(is_quiet=True))


def test_training_images_are_drawn_in_all_views(cache, tmp_path):
    """Of whatever size they are."""
    draw_sample(cache, tmp_path / "images.png")

    assert (tmp_path / "images.png").stat().st_size
