"""Tests for `head.plots`."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from head.plots import Prediction
from head.plots import draw_learning_curves
from head.plots import draw_predictions
from head.plots import draw_training_images

PIT_BULL, STAFFORDSHIRE = (
    "american_pit_bull_terrier",
    "staffordshire_bull_terrier",
)
LONG_NAMES = [
    PIT_BULL,
    STAFFORDSHIRE,
    "W" * 40,
    "the_quick_brown_fox_jumps_over_a_lazy_dog",
    "$e=mc^2$ in % of {x}",
    "été",
]
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
HISTORY = {
    "accuracy": [0.5, 0.75],
    "loss": [2.0, 1.0],
    "val_accuracy": [0.6, 0.7],
    "val_loss": [1.5, 1.25],
}


@pytest.fixture(name="path")
def _path(tmp_path):
    """Where a picture is to be written."""
    return tmp_path / "picture.png"


def draw_images(num_images, size=(8, 8)):
    """Returns noise `(num_images, height, width, 3)`, without a symmetry."""
    rng = np.random.default_rng(0)
    return rng.random((num_images, *size, 3), np.float32)


def texts_in(figure):
    """Returns every text that is not empty, of the figure and its axes."""
    found = [*figure.texts, *(axes.title for axes in figure.axes)]
    return [text for text in found if text.get_text()]


def boxes_of(artists, figure):
    """Returns the bounding box of each in pixels, as it is drawn."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [artist.get_window_extent(renderer) for artist in artists]


def assert_legible(figure):
    """Checks that no text meets another text, an image or the border."""
    texts = boxes_of(texts_in(figure), figure)
    images = boxes_of(figure.axes, figure)
    for box, other in itertools.combinations(texts, 2):
        assert not box.overlaps(other)
    for box, image in itertools.product(texts, images):
        assert not box.overlaps(image)
    for box in texts:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height


def titles_in(figure):
    """Returns the titles of the images, with spaces for line breaks."""
    return [axes.get_title().replace("\n", " ") for axes in figure.axes]


def test_training_images(path):
    """Each image is under its class name, which says if it is mirrored."""
    figure = draw_training_images(
        draw_images(3),
        ["Maine_Coon", "pug", "pug"],
        path,
        view_names=["plain", "flip", "centre"],
    )

    assert titles_in(figure) == ["Maine Coon", "pug (mirrored)", "pug (centre)"]
    assert path.read_bytes().startswith(PNG_MAGIC)


def test_training_grid_is_six_by_five(path):
    """Thirty images are in five rows of six, in reading order."""
    figure = draw_training_images(draw_images(30), ["pug"] * 30, path)

    corners = [(box.x0, -box.y0) for box in boxes_of(figure.axes, figure)]
    columns, rows = (sorted(set(axis)) for axis in np.transpose(corners))
    assert (len(columns), len(rows)) == (6, 5)
    assert corners == [(x, y) for y in rows for x in columns]


def test_fewer_images_leave_cells_empty(path):
    """The picture of one image is as large as that of thirty."""
    one = draw_training_images(draw_images(1), ["pug"], path)
    thirty = draw_training_images(draw_images(30), ["pug"] * 30, path)

    assert len(one.axes) == 1
    assert one.bbox.size.tolist() == thirty.bbox.size.tolist()


@pytest.mark.parametrize("num_images", [0, 31])
def test_images_that_do_not_fit_are_refused(path, num_images):
    """None is left out silently."""
    images, titles = draw_images(num_images), ["pug"] * num_images

    with pytest.raises(ValueError, match=f"Received: {num_images}"):
        draw_training_images(images, titles, path)

    assert not path.exists()


def test_each_image_needs_a_title(path):
    """A title too few is a mistake, not an image less."""
    with pytest.raises(ValueError, match="zip"):
        draw_training_images(draw_images(2), ["pug"], path)


@pytest.mark.parametrize(
    ("size", "factor"),
    [((8, 8), 28), ((96, 96), 2), ((224, 224), 1), ((160, 120), 1)],
)
def test_images_are_drawn_pixel_by_pixel(path, size, factor):
    """Each pixel of an image is a square of pixels, nothing is blurred."""
    images = draw_images(7, size)

    figure = draw_training_images(images, [*LONG_NAMES, "pug"], path)

    page = imread(path)[..., :3]
    for image, box in zip(images, boxes_of(figure.axes, figure), strict=True):
        enlarged = image.repeat(factor, 0).repeat(factor, 1)
        height, width = enlarged.shape[:2]
        top = round(len(page) - box.y1)
        left = round(box.x0)
        drawn = page[top : top + height, left : left + width]
        np.testing.assert_allclose(drawn, enlarged, atol=1 / 255)


@pytest.mark.parametrize("size", [(512, 384), (4000, 300)])
def test_large_images_are_drawn_smaller(path, size):
    """Whatever the backbone takes, the picture stays of a size to look at."""
    figure = draw_training_images(draw_images(1, size), ["pug"], path)

    (box,) = boxes_of(figure.axes, figure)
    assert box.height == pytest.approx(224)
    assert box.width == pytest.approx(224 * size[1] / size[0], abs=0.5)


@pytest.mark.parametrize("size", [(96, 96), (224, 60)])
def test_long_class_names_fit(path, size):
    """No title of training images meets another one, an image or the border."""
    titles = (LONG_NAMES * 5)[:30]
    views = (["plain"] * 5 + ["flip"] * 5) * 3

    figure = draw_training_images(draw_images(30, size), titles, path, views)

    assert_legible(figure)
    joined = [axes.get_title().replace("\n", "") for axes in figure.axes]
    assert joined[2] == "W" * 40


def test_predictions(path):
    """Right is green and ticked; wrong is red, crossed, and says what is."""
    image = draw_images(1)[0]
    pictures = [
        Prediction(image, predicted="Maine_Coon", true="Maine_Coon"),
        Prediction(image, predicted="Birman", true="Ragdoll"),
    ]

    figure = draw_predictions("new", 0.8851, 1280, pictures, path)

    assert figure.get_suptitle() == "new: 88.5 % of 1,280 images"
    assert titles_in(figure) == ["✓ Maine Coon", "✗ Birman (Ragdoll)"]
    right, wrong = (axes.title.get_color() for axes in figure.axes)
    assert is_greenish(right)
    assert is_reddish(wrong)
    assert path.read_bytes().startswith(PNG_MAGIC)


def is_greenish(color):
    """Tells whether green is the largest part of a colour like #0a7b6c."""
    red, green, blue = bytes.fromhex(color[1:])
    return green > max(red, blue)


def is_reddish(color):
    """Tells whether red is the largest part of a colour like #cb4a0c."""
    red, green, blue = bytes.fromhex(color[1:])
    return red > max(green, blue)


def test_heading_of_one_image(path):
    """One image is not `1 images`."""
    picture = Prediction(draw_images(1)[0], "pug", "pug")

    figure = draw_predictions("dogs", 1.0, 1, [picture], path)

    assert figure.get_suptitle() == "dogs: 100.0 % of 1 image"


@pytest.mark.parametrize("size", [(96, 96), (224, 224)])
def test_long_predictions_fit(path, size):
    """Two long names a title, and a long group, still meet nothing."""
    names = LONG_NAMES * 2
    pictures = [
        Prediction(image, predicted, true)
        for image, predicted, true in zip(
            draw_images(12, size), names, names[1:] + names[:1], strict=True
        )
    ]

    figure = draw_predictions("a_long_group_" * 6, 0.5, 720, pictures, path)

    assert_legible(figure)
    assert len(figure.axes) == 12


def test_two_long_names_are_on_a_line_each(path):
    """A line break comes before the true name rather than within it."""
    image = draw_images(1, (224, 224))[0]
    picture = Prediction(image, PIT_BULL, STAFFORDSHIRE)

    figure = draw_predictions("new", 0.5, 2, [picture], path)

    assert figure.axes[0].get_title().split("\n") == [
        "✗ american pit bull terrier",
        "(staffordshire bull terrier)",
    ]


def test_learning_curves(path):
    """Two panels with a curve of train and of validation each."""
    figure = draw_learning_curves(HISTORY, path)

    accuracy, loss = figure.axes
    assert accuracy.get_ylabel() == "Top-1 accuracy (%)"
    assert loss.get_ylabel() == "Cross-entropy"
    assert curves_in(accuracy) == {
        "train": ([1, 2], [50, 75]),
        "validation": ([1, 2], [60, 70]),
    }
    assert curves_in(loss) == {
        "train": ([1, 2], [2, 1]),
        "validation": ([1, 2], [1.5, 1.25]),
    }
    assert accuracy.get_legend() is not None
    assert "dropout on" in figure.get_supxlabel()
    assert path.read_bytes().startswith(PNG_MAGIC)


def curves_in(axes):
    """Returns by label the epochs and values of each curve."""
    return {
        line.get_label(): (line.get_xdata().tolist(), list(line.get_ydata()))
        for line in axes.lines
    }


def test_learning_curves_without_validation(path):
    """A refit on all rows has no validation, in curves or note."""
    history = {name: HISTORY[name] for name in ("accuracy", "loss")}

    figure = draw_learning_curves(history, path)

    assert [list(curves_in(axes)) for axes in figure.axes] == [["train"]] * 2
    assert "alidation" not in figure.get_supxlabel()


@pytest.mark.parametrize("num_epochs", [1, 7, 30, 1000])
def test_epochs_are_whole_numbers_from_one(path, num_epochs):
    """The axis counts epochs, the first of which is 1, and shows them all."""
    history = {
        name: np.linspace(0.1, 1, num_epochs).tolist() for name in HISTORY
    }

    figure = draw_learning_curves(history, path)

    for axes in figure.axes:
        ticks = axes.get_xticks().tolist()
        low, high = axes.get_xlim()
        assert ticks[0] == 1
        assert all(tick == round(tick) for tick in ticks)
        assert len(ticks) <= 12
        assert low < 1 <= num_epochs < high


@pytest.mark.parametrize("accuracy", [0.0, 0.999, 1.0])
def test_a_single_epoch_is_seen(path, accuracy):
    """One dot a curve, inside the panel, whatever the accuracy."""
    history = {name: [accuracy] for name in HISTORY}

    figure = draw_learning_curves(history, path)

    low, high = figure.axes[0].get_ylim()
    assert low < 100 * accuracy < high < 101
    assert all(line.get_marker() == "o" for line in figure.axes[0].lines)


def test_equal_inputs_give_equal_bytes(tmp_path):
    """A picture depends on what it shows, not on when it was drawn."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]

    for path in paths:
        draw_learning_curves(HISTORY, path)

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"Software" not in paths[0].read_bytes()


def test_nothing_is_left_beside_the_picture(path):
    """The picture replaces an older one, and is the only file."""
    path.write_bytes(b"old")

    draw_learning_curves(HISTORY, path)

    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes().startswith(PNG_MAGIC)
