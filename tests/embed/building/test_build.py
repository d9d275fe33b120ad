"""Tests for `embed.building.build`."""

import numpy as np
import pytest
from PIL import Image

from embed.backbones import BackboneRequest
from embed.building.agreement import TOLERANCES
from embed.building.blocks import read_block
from embed.building.folder import build_dir_of
from embed.building.folder import read_spec
from embed.cache import open_cache
from embed.errors import BadImagesError
from embed.errors import EngineError
from embed.images import digest_content
from embed.sources import SourceRequest
from embed.splits import Selection
from tests.conftest import save_module
from tests.conftest import tiny_kernel
from tests.drawn_caches import files_in
from tests.noise_pictures import write_noise
from tests.stopping_console import StoppingConsole


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "cache.h5"


def test_a_build_that_is_cut_off_says_what_it_is(build, path):
    """Its folder has the spec, the journal and whole blocks alone."""
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, console=StoppingConsole(80))

    build_dir = build_dir_of(path)
    assert files_in(build_dir) == ["journal.jsonl", "spec.json", "train"]
    assert files_in(build_dir / "train") == ["00000000.npz"]
    assert read_spec(build_dir).views == ("plain", "flip")
    assert not path.with_name("cache.h5.lock").exists()


def test_an_engine_that_is_wrong_leaves_no_block(build, path, monkeypatch):
    """It is checked on the first pictures, before a row is kept."""
    monkeypatch.setitem(TOLERANCES, "float32", -1.0)

    with pytest.raises(EngineError, match="--engine tensorflow"):
        build(cache_path=path)

    assert files_in(build_dir_of(path)) == ["journal.jsonl", "spec.json"]


def test_features_too_large_for_their_dtype_keep_what_is_finished(
    build, path, tmp_path
):
    """No infinity is stored; the blocks before are, and the advice helps."""
    save_module(1e6 * tiny_kernel(), tmp_path / "large")
    pictures = write_noise(tmp_path / "noise", num_train=150)
    black = np.zeros((8, 8, 3), np.uint8)
    *others, last = sorted(pictures.glob("train/*/*"))
    for picture_path in others:
        Image.fromarray(black).save(picture_path)
    Image.fromarray(black + 255).save(last)
    fields = {
        "source": SourceRequest(dataset=f"folder:{pictures}"),
        "backbone": BackboneRequest(
            handle=f"hub:{tmp_path / 'large'}", image_size=(8, 8)
        ),
    }

    with pytest.raises(
        EngineError,
        match=r"1 pictures in block 1 of train .*float16.*kept.*65,504",
    ):
        build(cache_path=path, dtype="float16", **fields)

    assert files_in(build_dir_of(path) / "train") == ["00000000.npz"]
    exact = build(cache_path=tmp_path / "exact.h5", **fields).cache
    assert exact.take(Selection("train")).features[-1].max() > 65_504


def test_a_block_holds_each_picture_once(build, path, picture_folder):
    """A picture that was replaced takes the place of what it was."""
    bad, other, *_ = sorted((picture_folder / "train" / "cat").iterdir())
    bad.write_bytes(b"")
    block_path = build_dir_of(path) / "train" / "00000000.npz"
    with pytest.raises(BadImagesError):
        build(cache_path=path)
    before = read_block(block_path)
    other.write_bytes((picture_folder / "test/dog/00.jpg").read_bytes())
    with pytest.raises(BadImagesError):
        build(cache_path=path)

    after = read_block(block_path)

    name = f"cat/{other.name}".encode()
    ids = after.image_ids.tolist()
    assert sorted(ids) == sorted(set(before.image_ids.tolist()))
    digest = after.content_digests[ids.index(name)].tobytes()
    assert digest == digest_content(other.read_bytes())


def test_seconds_and_counts_are_of_this_call(build, path):
    """What an earlier call did is in the attempts, not in the result."""
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, console=StoppingConsole(80))

    result = build(cache_path=path)

    views = [a.num_views for a in result.cache.provenance.attempts]
    assert (result.num_computed, result.num_decoded) == (24, 12)
    assert views == [84, 24]
    assert set(result.seconds) == {
        "wait_for_images",
        "forward",
        "write",
        "total",
    }


def test_a_cache_that_takes_all_over_names_who_computed_it(build):
    """Without a view of its own its engine is its parent's."""
    build()

    plain = open_cache(build(views=("plain",)).cache.path).provenance

    assert plain.attempts == ()
    assert plain.engine == "tensorflow"
    assert len(plain.parents) == 1
