"""Tests for `embed.origin`."""

import dataclasses
import errno
import shutil

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.errors import BackboneError
from embed.errors import SourceError
from embed.extract import build_cache
from embed.origin import decoder_of
from embed.origin import load_backbone_of
from embed.origin import read_pictures
from embed.splits import Selection


def test_pictures_through_the_backbone_give_the_cached_features(tiny_cache):
    """Picture by picture, the way back leads to the same rows."""
    rows = tiny_cache.take(Selection("test"))
    backbone = load_backbone_of(tiny_cache)
    decode = decoder_of(tiny_cache)

    pictures = read_pictures(tiny_cache, "test", rows.image_ids)
    features = backbone.model(np.stack([decode(one) for one in pictures]))

    np.testing.assert_allclose(features, rows.features[:, 0], atol=1e-6)


def test_some_pictures(tiny_cache, picture_folder):
    """Ids choose the pictures."""
    ids = ["cat/01.png", "été/00.jpg"]

    pictures = list(read_pictures(tiny_cache, "train", ids))

    train = picture_folder / "train"
    assert pictures == [(train / name).read_bytes() for name in ids]


def test_missing_picture(tiny_cache, picture_folder):
    """A picture that is gone is named, before any is read."""
    (picture_folder / "test" / "dog" / "02.jpg").unlink()
    ids = tiny_cache.image_ids("test")

    with pytest.raises(
        SourceError, match=r"no test picture 'dog/02.jpg'.*embed build-cache"
    ):
        read_pictures(tiny_cache, "test", ids)


def test_changed_picture(tiny_cache, picture_folder):
    """A picture of other bytes is not taken for the one that was seen."""
    path = picture_folder / "test" / "dog" / "02.jpg"
    path.write_bytes(path.read_bytes() + b"x")
    pictures = read_pictures(tiny_cache, "test", ["dog/01.png", "dog/02.jpg"])

    assert next(pictures)
    with pytest.raises(
        SourceError, match=r"dog/02.jpg has changed .*embed build-cache"
    ):
        next(pictures)


def test_a_share_that_is_gone(tiny_cache, monkeypatch):
    """What the system says is an error of ours, which callers expect."""

    def refuse(request):
        raise OSError(errno.ESTALE, "Stale file handle", "/share")

    monkeypatch.setattr("embed.origin.open_source", refuse)

    with pytest.raises(SourceError, match=r"Stale file handle: '/share'"):
        read_pictures(tiny_cache, "test", ["dog/02.jpg"])


def test_unreadable_picture(tiny_cache, picture_folder):
    """One that went after the folder was listed is told with its reason."""
    pictures = read_pictures(tiny_cache, "test", ["dog/02.jpg"])
    (picture_folder / "test" / "dog" / "02.jpg").unlink()

    with pytest.raises(SourceError, match=r"Received: it cannot be read"):
        next(pictures)


def test_decoder_has_the_limits_of_the_cache(tiny_request, tmp_path):
    """What was too large for the build is too large on the way back."""
    request = dataclasses.replace(tiny_request, max_pixels=12_345)
    cache = build_cache(request, artifacts_dir=tmp_path / "artifacts").cache

    decode = decoder_of(cache)

    assert decode.image_size == (8, 8)
    assert decode.max_pixels == 12_345


def test_other_weights(tiny_request, tmp_path):
    """A backbone that changed since is not taken for the old one."""
    module_dir = tmp_path / "module"
    local = tiny_request.backbone.handle.removeprefix("hub:")
    shutil.copytree(local, module_dir)
    request = dataclasses.replace(
        tiny_request,
        backbone=BackboneRequest(handle=f"hub:{module_dir}", image_size=(8, 8)),
    )
    cache = build_cache(request, artifacts_dir=tmp_path / "artifacts").cache
    (module_dir / "assets").mkdir(exist_ok=True)
    (module_dir / "assets" / "vocabulary.txt").write_text("another")

    with pytest.raises(
        BackboneError, match=r"Put the old weights back.*embed build-cache"
    ):
        load_backbone_of(cache)
