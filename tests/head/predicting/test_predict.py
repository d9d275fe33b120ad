"""Tests for `head.predicting.predict`."""

import importlib.util

import numpy as np
import pytest

from embed.engines import ENGINES
from embed.errors import EngineError
from embed.errors import StaleCacheError
from embed.reading import PictureFile
from embed.splits import Selection
from head.predicting.exported import find_model
from head.predicting.neighbours import TrainingPictures
from head.predicting.predict import NUM_FEW
from head.predicting.predict import Predictor
from head.predicting.start import require_agreement
from tests.stub_engine import StubEngine

INSTALLED = [
    name
    for name, package in ENGINES.items()
    if importlib.util.find_spec(package)
]


@pytest.fixture(name="model", scope="module")
def _model(tiny_export):
    """The exported model, its mirror left out."""
    return find_model(tiny_export.artifacts_dir, tiny_export.model)


def run(predictor, paths):
    """Returns what a model says of all paths."""
    files = [PictureFile(str(path)) for path in paths]
    return list(predictor.run(files, len(files)))


def probabilities_of(predictions):
    """Returns those of all pictures, `(num_pictures, num_classes)`."""
    return np.stack([p.probabilities for p in predictions])


@pytest.mark.parametrize("engine", ["auto", *INSTALLED])
def test_answers_are_those_of_the_head_on_the_cache(model, tiny_export, engine):
    """Picture by picture, by whatever engine, at the first class exactly."""
    predictor = Predictor(model, engine=engine)

    predictions = run(predictor, tiny_export.test_paths)

    assert [p.path for p in predictions] == tiny_export.test_paths
    expected = tiny_export.expected()
    found = probabilities_of(predictions)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))
    assert predictor.engine == ("tensorflow" if engine == "auto" else engine)
    assert predictor.num_answered == len(predictions)
    assert predictor.images_per_second > 0


def test_an_export_of_both_views_averages_them(tiny_export):
    """Nothing has to be said for it."""
    model = find_model(tiny_export.artifacts_dir, tiny_export.tta)

    predictions = run(Predictor(model), tiny_export.test_paths)

    expected = tiny_export.expected(num_views=2)
    found = probabilities_of(predictions)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_many_pictures_are_run_by_an_engine(model, tiny_export):
    """In their order, to the answers that a few of them get."""
    few = run(Predictor(model), tiny_export.test_paths)
    predictor = Predictor(model)
    paths = 30 * tiny_export.test_paths

    predictions = run(predictor, paths)

    assert predictor.engine == INSTALLED[0]
    assert [p.path for p in predictions] == paths
    np.testing.assert_allclose(
        probabilities_of(predictions),
        np.tile(probabilities_of(few), (30, 1)),
        atol=1e-4,
    )


@pytest.mark.parametrize("with_neighbours", [False, True])
def test_what_is_there_is_answered_when_no_more_comes(
    model, tiny_export, with_neighbours
):
    """Whoever waits for an answer before the next question gets it."""
    training = TrainingPictures(tiny_export.cache) if with_neighbours else None
    predictor = Predictor(
        model, training=training, num_neighbours=2 * with_neighbours
    )
    paths, asked = tiny_export.test_paths, []

    def ask():
        for path in paths:
            asked.append(path)
            yield PictureFile(path)
            yield None

    for number, prediction in enumerate(predictor.run(ask())):
        assert prediction.path == paths[number]
        assert asked == paths[: number + 1]
        assert len(prediction.neighbours) == 2 * with_neighbours

    assert predictor.num_answered == len(paths)
    assert predictor.engine == "tensorflow"


def test_many_that_come_at_once_are_run_by_an_engine(model, tiny_export):
    """Though a few came before; and few that come later too."""
    predictor = Predictor(model)
    few = [PictureFile(path) for path in tiny_export.test_paths]
    engines = []

    for prediction in predictor.run([*few, None, *(30 * few), None, *few]):
        engines.append(predictor.engine)
        assert prediction.probabilities is not None

    begun = ["tensorflow"] * len(few)
    assert engines == [*begun, *([INSTALLED[0]] * 31 * len(few))]


@pytest.mark.parametrize("num_bad", [1, NUM_FEW, 3 * NUM_FEW])
def test_bad_pictures_keep_their_places(model, tiny_export, tmp_path, num_bad):
    """Before, between and behind good ones, which are all answered."""
    bad = [tmp_path / f"{number}.jpg" for number in range(num_bad)]
    for path in bad:
        path.write_bytes(b"")
    first, *others = tiny_export.test_paths
    paths = [*bad, first, *bad, *others, *bad]
    predictor = Predictor(model)

    predictions = run(predictor, paths)

    assert [p.path for p in predictions] == list(map(str, paths))
    good = [p for p in predictions if p.probabilities is not None]
    assert [p.path for p in good] == tiny_export.test_paths
    np.testing.assert_allclose(
        probabilities_of(good), tiny_export.expected(), atol=1e-4
    )
    assert {p.problem for p in predictions} == {"", "the file is empty"}
    assert predictor.num_answered == len(good)


def test_nothing_but_bad_pictures(model, tmp_path):
    """Each has its reason, and nothing ran."""
    predictor = Predictor(model)
    paths = [tmp_path / f"{number}.jpg" for number in range(2 * NUM_FEW)]

    predictions = run(predictor, paths)

    assert {p.problem for p in predictions} == {
        "it cannot be read: No such file or directory"
    }
    assert len(predictions) == len(paths)
    assert (predictor.engine, predictor.num_answered) == ("", 0)


def test_a_picture_above_the_limit_is_not_decoded(model, tiny_export):
    """The reason says which option raises it."""
    predictor = Predictor(model, max_pixels=100)

    (prediction,) = run(predictor, tiny_export.test_paths[:1])

    assert "--max-pixels" in prediction.problem


def test_any_number_of_paths_are_answered_as_they_come(model, tiny_export):
    """No more is held than what is worked on, so that they need no end."""
    num_taken = 0

    def name_files():
        nonlocal num_taken
        for path in 800 * tiny_export.test_paths:
            num_taken += 1
            yield PictureFile(path)

    predictor = Predictor(model, engine="tensorflow")
    for number, _ in enumerate(predictor.run(name_files())):
        if number == 3000:
            break

    assert num_taken < 3000 + 2000  # Some batches of 256, decoded or run.


@pytest.mark.parametrize("name", ["model", "tta"])
@pytest.mark.parametrize("memory_limit", [None, 0])
def test_neighbours_are_those_of_the_cached_features(
    tiny_export, name, memory_limit
):
    """The answers are the same with them as without."""
    model = find_model(tiny_export.artifacts_dir, getattr(tiny_export, name))
    training = TrainingPictures(tiny_export.cache, memory_limit=memory_limit)
    predictor = Predictor(model, training=training, num_neighbours=5)
    paths = 6 * tiny_export.test_paths

    predictions = run(predictor, paths)

    features = tiny_export.cache.take(Selection("test")).features[:, 0]
    expected = 6 * training.find_nearest(features, 5)
    for prediction, alike in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(
            [n.similarity for n in prediction.neighbours],
            [n.similarity for n in alike],
            atol=1e-5,
        )
        assert prediction.neighbours[0].image_id == alike[0].image_id
    without = run(Predictor(model), paths)
    np.testing.assert_allclose(
        probabilities_of(predictions), probabilities_of(without), atol=1e-5
    )


def test_a_training_picture_is_recognised(model, tiny_export):
    """It is its own neighbour; a picture that cannot be read has none."""
    training = TrainingPictures(tiny_export.cache)
    predictor = Predictor(model, training=training, num_neighbours=1)
    path = tiny_export.pictures / "train" / "dog" / "03.png"

    gone, found = run(predictor, ["gone.jpg", path])

    (neighbour,) = found.neighbours
    assert (neighbour.image_id, neighbour.class_name) == ("dog/03.png", "dog")
    assert neighbour.similarity == pytest.approx(1, abs=1e-6)
    assert gone.neighbours == ()


def test_neighbours_of_other_features_are_refused(model, draw_cache, tmp_path):
    """A cache of another backbone has nothing to compare with."""
    training = TrainingPictures(draw_cache(tmp_path / "other.h5"))

    with pytest.raises(StaleCacheError, match="feature_dim=4"):
        Predictor(model, training=training, num_neighbours=1)


def test_an_engine_that_answers_something_else_is_refused(model, tiny_export):
    """Converters have been seen to make models that answer NaN."""
    network = model.load()
    images = np.full((2, *network.image_size, 3), 0.5, np.float32)

    require_agreement(StubEngine(network, network.embed), network, images)
    for wrong in (np.nan, 1e-2):
        engine = StubEngine(network, lambda x, w=wrong: network.embed(x) + w)
        with pytest.raises(EngineError, match="another `--engine`"):
            require_agreement(engine, network, images)


def test_an_engine_that_is_missing_is_refused_first(model, monkeypatch):
    """Before a model is loaded, with what installs it."""
    monkeypatch.setitem(ENGINES, "litert", "no_such_package")

    with pytest.raises(EngineError, match="pip install"):
        Predictor(model, engine="litert")
