"""A folder as people have them: pictures of every kind, and damaged ones."""

import json
import re

import numpy as np
import pytest

from embed.extract import build_cache
from embed.splits import Selection
from tests.children import run_forked
from tests.drawn_caches import files_in
from tests.noise_pictures import options_of
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise
from tests.odd_pictures import damaged_pictures
from tests.odd_pictures import undamaged_pictures

GOOD_PICTURES = {"num_train": 90, "num_test": 10}  # Of each class: 200.
DAMAGED, UNDAMAGED = damaged_pictures(), undamaged_pictures()
MIN_ODD = 30
CLASS = "cat"


@pytest.fixture(name="clean")
def _clean(tmp_path):
    """200 good pictures and those that are odd but undamaged."""
    folder = write_noise(tmp_path / "clean", **GOOD_PICTURES)
    write_odd(folder, UNDAMAGED)
    return folder


@pytest.fixture(name="odd")
def _odd(tmp_path):
    """The same and the damaged ones."""
    folder = write_noise(tmp_path / "odd", **GOOD_PICTURES)
    write_odd(folder, [*UNDAMAGED, *DAMAGED])
    return folder


def test_skipping_leaves_out_the_damaged_ones_alone(
    clean, odd, tiny_module_dir, tmp_path
):
    """Each is listed with its reason; all other rows are those without it."""
    expected = build_cache(
        request_of(clean, tiny_module_dir), artifacts_dir=tmp_path / "clean-a"
    ).cache

    skipping = build_cache(
        request_of(odd, tiny_module_dir, on_error="skip"),
        artifacts_dir=tmp_path / "odd-a",
    ).cache

    reasons = {s.image_id: s.reason for s in skipping.provenance.skipped}
    assert len(UNDAMAGED) > MIN_ODD
    assert len(DAMAGED) > MIN_ODD
    assert reasons.keys() == {id_of(picture) for picture in DAMAGED}
    for picture in DAMAGED:
        assert re.search(picture.reason, reasons[id_of(picture)]), picture.name
    assert skipping.num_images == expected.num_images
    for split in expected.num_images:
        assert_equal_rows(skipping, expected, split)


def test_failing_lists_them_all_and_keeps_the_rest(
    odd, tiny_module_dir, tmp_path
):
    """Without an option it is an error that names each; no work is lost."""
    options = ["build-cache", *options_of(odd, tiny_module_dir), "--json"]

    failed = run_forked(*options, cwd=tmp_path)
    skipping = run_forked(*options, "--on-error", "skip", cwd=tmp_path)
    again = run_forked(*options, cwd=tmp_path)

    for done in (failed, again):
        *listed, line = done.stderr.splitlines()
        assert done.returncode == 1
        assert line.startswith(f"error: {len(DAMAGED)} pictures cannot be ")
        assert sum(text.startswith("error: ") for text in listed) == 0
        assert "`--on-error skip`" in line
        for picture in DAMAGED:
            start = f"train {id_of(picture)}: "
            (found,) = (text for text in listed if text.startswith(start))
            assert re.search(picture.reason, found), found
    assert skipping.returncode == 0, skipping.stderr
    payload = json.loads(skipping.stdout)
    assert payload["num_computed"] == 0
    assert payload["num_skipped"] == len(DAMAGED)
    name = f"odd-{payload['fingerprint']}.h5"
    assert name in files_in(tmp_path / "artifacts" / "caches")


def write_odd(folder, pictures):
    """Writes odd pictures among the good ones of a class."""
    for picture in pictures:
        (folder / "train" / id_of(picture)).write_bytes(picture.encoded)


def id_of(picture):
    """Returns what a picture is called in the cache."""
    return f"{CLASS}/{picture.name}{picture.suffix}"


def assert_equal_rows(cache, expected, split):
    """Both caches hold the same rows of a split, bit by bit."""
    rows, others = cache.take(Selection(split)), expected.take(Selection(split))
    assert rows.image_ids == others.image_ids
    assert rows.features.tobytes() == others.features.tobytes()
    np.testing.assert_array_equal(rows.labels, others.labels)
    for name in ("content_digests", "is_oriented"):
        np.testing.assert_array_equal(
            getattr(cache.index(split), name),
            getattr(expected.index(split), name),
        )
