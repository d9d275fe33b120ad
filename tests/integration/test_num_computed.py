"""No view is computed twice: `build-cache --json` says how many it was."""

import json
import os

import numpy as np
import pytest

from embed.cache import open_cache
from embed.splits import Selection
from embed.splits import split_train
from tests.children import run_forked
from tests.noise_pictures import options_of
from tests.noise_pictures import write_noise

NUM_TRAIN, NUM_TEST = 150, 20  # Of each class: two blocks and one.
NUM_IMAGES = 2 * (NUM_TRAIN + NUM_TEST)


@pytest.fixture(name="pictures")
def _pictures(tmp_path):
    return write_noise(
        tmp_path / "pictures", num_train=NUM_TRAIN, num_test=NUM_TEST
    )


@pytest.fixture(name="build")
def _build(pictures, tiny_module_dir, tmp_path):
    """Runs `build-cache`; returns what it printed and the cache."""

    def build(*options):
        done = run_forked(
            *("build-cache", *options_of(pictures, tiny_module_dir)),
            *("--json", *options),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        payload = json.loads(done.stdout)
        return payload, open_cache(tmp_path / payload["cache"])

    return build


def test_the_same_build_again(build):
    """What is there is found: 0 views, 0 pictures decoded, one file."""
    first, cache = build()
    again, same = build()

    assert first["num_computed"] == 2 * NUM_IMAGES
    assert first["num_decoded"] == NUM_IMAGES
    assert (again["num_computed"], again["num_decoded"]) == (0, 0)
    assert same.path == cache.path


def test_more_pictures(build, pictures):
    """Of m new pictures m x 2 views are computed, and no old one moves."""
    _, old = build()
    write_noise(pictures / "new", num_train=7, num_test=1, seed=1)
    for path in sorted((pictures / "new").rglob("*.png")):
        split, class_name, name = path.parts[-3:]
        path.rename(pictures / split / class_name / f"new-{name}")

    payload, cache = build()

    assert payload["num_computed"] == 2 * 2 * (7 + 1)
    assert payload["num_images"] == {
        "train": 2 * (NUM_TRAIN + 7),
        "test": 2 * (NUM_TEST + 1),
    }
    assert cache.provenance.parents == (old.path.name,)
    assert_same_rows(old, cache)
    assert_same_split(old, cache)


def test_the_mirror_of_a_plain_cache(build):
    """One more view is one forward a picture; the other is taken over."""
    plain, old = build("--views", "plain")
    both, cache = build()
    back, served = build("--views", "plain")

    assert plain["num_computed"] == NUM_IMAGES
    assert both["num_computed"] == NUM_IMAGES
    assert back["num_computed"] == 0
    assert served.path == old.path
    for split in ("train", "test"):
        np.testing.assert_array_equal(
            cache.take(Selection(split)).features[:, :1],
            old.take(Selection(split)).features,
        )


def test_a_replaced_picture(build, pictures):
    """Its views alone are computed, and all others are those of before."""
    _, old = build()
    path = pictures / "train" / "dog" / "0003.png"
    path.write_bytes((pictures / "test" / "cat" / "0000.png").read_bytes())

    payload, cache = build()

    assert payload["num_computed"] == 2
    assert cache.path == old.path
    assert_same_rows(old, cache, but="dog/0003.png")
    assert_same_split(old, cache)


def test_a_picture_of_the_same_size_and_time(build, pictures):
    """Other contents are seen, though `ls` shows the file as it was."""
    path = pictures / "train" / "dog" / "0003.png"
    path.write_bytes(path.read_bytes() + b"1")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    build()
    path.write_bytes(path.read_bytes()[:-1] + b"2")
    os.utime(path, ns=times)

    payload, _ = build()

    assert payload["num_computed"] == 2


def test_a_picture_fewer(build, pictures):
    """Nothing is computed, and no other picture changes sides."""
    _, old = build()
    (pictures / "train" / "dog" / "0003.png").unlink()

    payload, cache = build()

    assert payload["num_computed"] == 0
    assert payload["num_decoded"] == 0
    assert cache.num_images["train"] == old.num_images["train"] - 1
    assert_same_rows(old, cache, but="dog/0003.png")
    assert_same_split(old, cache)


def test_touched_pictures(build, pictures):
    """New times of the same contents cost a reading, and no view."""
    build()
    for path in (pictures / "train" / "cat").iterdir():
        os.utime(path, (1, 1))

    payload, _ = build()

    assert (payload["num_computed"], payload["num_decoded"]) == (0, 0)


def assert_same_rows(old, cache, *, but=""):
    """What both hold is the same, bit by bit, but for one picture."""
    for split in ("train", "test"):
        left, right = (c.take(Selection(split)) for c in (old, cache))
        of_left = dict(zip(left.image_ids, left.features, strict=True))
        of_right = dict(zip(right.image_ids, right.features, strict=True))
        both = (of_left.keys() & of_right.keys()) - {but}
        assert len(both) >= len(of_left) - bool(but)
        for image_id in both:
            assert (
                of_left[image_id].tobytes() == of_right[image_id].tobytes()
            ), image_id


def assert_same_split(old, cache):
    """Pictures that both hold are on the same side of train and validation."""
    sides = []
    for each in (old, cache):
        ids = each.image_ids("train")
        split = split_train(ids)
        sides.append(
            {ids[row]: "train" for row in split.train.rows.tolist()}
            | {ids[row]: "val" for row in split.val.rows.tolist()}
        )
    before, after = sides
    both = before.keys() & after.keys()
    assert {i: before[i] for i in both} == {i: after[i] for i in both}
    assert set(before.values()) == {"train", "val"}
