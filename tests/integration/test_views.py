"""Caches of more views than two: what is computed, and what rows they hold."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from embed.console import Console
from embed.errors import BackboneError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.splits import Selection
from embed.upkeep.verify import verify_cache
from embed.views import parse_views
from tests.any_size_module import save_any_size_module
from tests.counting_source import CountingSource

NUM_PICTURES = 42
SIX = parse_views("plain,flip,center,center+flip,scale12,scale12+flip")


@pytest.fixture(name="request_of")
def _request_of(tiny_request, tmp_path):
    """The build of the drawn pictures at 8 px, by a backbone of any size."""
    save_any_size_module(tmp_path / "module")
    backbone = tiny_request.backbone.model_copy(
        update={"handle": f"hub:{tmp_path / 'module'}"}
    )

    def request_of(views, image_size=(8, 8)):
        sized = backbone.model_copy(update={"image_size": image_size})
        return dataclasses.replace(tiny_request, backbone=sized, views=views)

    return request_of


@pytest.fixture(name="build")
def _build(request_of, tmp_path):
    """Builds a cache of some views; one folder's caches are all kin."""

    def build(views, image_size=(8, 8), folder="artifacts", cache_path=None):
        return build_cache(
            request_of(views, image_size),
            artifacts_dir=tmp_path / folder,
            cache_path=cache_path,
        )

    return build


def features_of(cache, view, split="train"):
    """Returns the features of one view."""
    rows = cache.take(Selection(split))
    return rows.features[:, cache.spec.views.index(view)]


def test_every_view_is_embedded_as_it_is_defined(build, picture_folder):
    """A picture in four colours has the features computed by hand."""
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:2], pixels[2:, :2] = (255, 255, 255), (0, 0, 255)
    pixels[2:18, 2:10], pixels[2:18, 10:18] = (255, 0, 0), (0, 255, 0)
    folder = picture_folder / "train" / "cat"
    (folder / "00.jpg").unlink()
    Image.fromarray(pixels).save(folder / "00.png")

    cache = build(parse_views("plain,center,center+flip,scale20")).cache

    # The middle is 16 x 16: red on the left and green on the right.
    middle = features_of(cache, "center")[0]
    np.testing.assert_allclose(middle, [1, 1, 0, 0.08 * 0.5], atol=1e-6)
    mirror = features_of(cache, "center+flip")[0]
    np.testing.assert_allclose(mirror, [0, 0, 0, 0.08 * 0.5], atol=1e-6)
    # All of it: red in 2 + 16 * 0.8 rows of 20 on its left.
    whole = features_of(cache, "scale20")[0]
    red = (2 * 20 + 16 * 8) / 400
    expected = [(2 + 12.8) / 20, (2 + 12.8) / 20, (40 + 36) / 400, 0.2 * red]
    np.testing.assert_allclose(whole, expected, atol=1e-6)


def test_a_view_that_is_added_is_all_that_is_computed(build):
    """The others are taken over, bit by bit, whatever their order."""
    two = build(("plain", "flip"))
    four = build(("plain", "center", "center+flip", "flip"))
    six = build(SIX)
    again = build(("plain", "flip", "scale12"))

    computed = [r.num_computed for r in (two, four, six, again)]
    assert computed == [2 * NUM_PICTURES] * 3 + [0]
    assert [r.num_decoded for r in (two, four, six, again)] == [
        *(3 * [NUM_PICTURES]),
        0,
    ]
    for view in ("plain", "flip"):
        for other in (four, six, again):
            np.testing.assert_array_equal(
                features_of(other.cache, view), features_of(two.cache, view)
            )


def test_all_views_at_once_are_what_they_are_one_by_one(build):
    """All come from one decode of each picture."""
    at_once = build(SIX, folder="others")
    one_by_one = [build(SIX[:number]) for number in range(1, 7)]

    assert at_once.num_computed == 6 * NUM_PICTURES
    assert [r.num_computed for r in one_by_one] == 6 * [NUM_PICTURES]
    assert at_once.num_decoded == NUM_PICTURES
    for view in SIX:
        for split in ("train", "test"):
            np.testing.assert_allclose(
                features_of(one_by_one[-1].cache, view, split),
                features_of(at_once.cache, view, split),
                atol=1e-6,
            )


def test_a_size_of_its_own_is_that_of_another_cache(build):
    """The column scale12 is the plain one of a cache at 12 px."""
    cache = build(("plain", "scale12")).cache
    other = build(("plain",), image_size=(12, 12)).cache

    np.testing.assert_allclose(
        features_of(cache, "scale12"), features_of(other, "plain"), atol=1e-6
    )


def test_more_views_serve_who_asks_for_fewer(build, tmp_path):
    """Under one name nothing is computed, in whatever order they are asked."""
    path = tmp_path / "all.h5"
    whole = build(SIX, cache_path=path)

    served = build(("plain", "scale12", "flip"), cache_path=path)

    assert (served.cache.path, served.num_computed) == (path, 0)
    assert served.cache.spec == whole.cache.spec
    with pytest.raises(StaleCacheError, match="bottom-left"):
        build((*SIX, *parse_views("plain,corners")[1:]), cache_path=path)


def test_verify_recomputes_every_view(build):
    """Parts and sizes are recomputed as they were computed."""
    cache = build(SIX).cache

    found = verify_cache(cache.path, console=Console(is_quiet=True))

    assert found.is_ok
    assert (found.num_recomputed, found.remark) == (NUM_PICTURES, "")


def test_a_fixed_size_is_refused_before_anything_is_read(
    tiny_request, tmp_path, monkeypatch
):
    """One line, and no picture is opened for it."""

    def fail(*arguments):
        raise AssertionError("A picture was read.")

    monkeypatch.setattr(CountingSource.__mro__[1], "read", fail)
    request = dataclasses.replace(tiny_request, views=("plain", "scale12"))

    with pytest.raises(BackboneError, match="Leave out scale12"):
        build_cache(request, artifacts_dir=tmp_path / "artifacts")


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ("plain,middle", "There is no view 'middle'. Expected: names"),
        ("plain,flip,plain", "The view plain is there twice. Expected: names"),
        ("center", "Run again with `--views plain,center`"),
        ("", "There is no view ''"),
    ],
)
def test_faulty_lists_are_one_line_of_error(run_command, views, message):
    """Nothing is fetched for them, and nothing computed."""
    done = run_command("build-cache", "--views", views)

    (line,) = done.stderr.splitlines()[-1:]
    assert done.returncode == 1
    assert line.startswith("error: ")
    assert message in line
    assert done.stdout == ""
