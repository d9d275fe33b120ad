"""What cannot change a vector is neither in a cache's fingerprint nor name."""

import dataclasses

import pytest

from embed.building import blocks
from embed.engines import ENGINES
from embed.errors import EngineError
from embed.extract import build_cache
from embed.sources import SourceRequest


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch_size", [5, None])
def test_how_it_is_computed_is_not_in_the_name(
    tiny_request, tiny_cache, tmp_path, engine, batch_size
):
    """Engine and batch size leave fingerprint and name as they are."""
    request = dataclasses.replace(
        tiny_request, engine=engine, batch_size=batch_size
    )

    cache = build_elsewhere(request, tmp_path)

    assert cache.fingerprint == tiny_cache.fingerprint
    assert cache.path.name == tiny_cache.path.name
    assert cache.provenance.engine == engine


def test_the_block_size_is_not_in_the_name(
    tiny_request, tiny_cache, tmp_path, monkeypatch
):
    """Rows that are divided otherwise are the same rows."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 7)
    assert len(blocks.list_blocks(tiny_cache.num_images)) == 5 + 2

    cache = build_elsewhere(tiny_request, tmp_path)

    assert cache.path.name == tiny_cache.path.name


def test_the_place_of_the_pictures_is_not_in_the_name(
    tiny_request, tiny_cache, picture_folder, tmp_path
):
    """A folder that was moved is the same dataset to a fresh build."""
    moved = tmp_path / "moved" / picture_folder.name
    moved.parent.mkdir()
    picture_folder.rename(moved)

    cache = build_elsewhere(with_pictures(tiny_request, moved), tmp_path)

    assert cache.path.name == tiny_cache.path.name


def test_the_name_of_the_picture_folder_is_not_in_the_fingerprint(
    tiny_request, tiny_cache, picture_folder, tmp_path
):
    """A renamed folder finds the cache that was there, under its name."""
    renamed = picture_folder.rename(tmp_path / "renamed")
    request = with_pictures(tiny_request, renamed)

    again = build_cache(request, artifacts_dir=tmp_path / "artifacts")
    fresh = build_elsewhere(request, tmp_path)

    assert again.num_computed == 0
    assert again.cache.path == tiny_cache.path
    assert fresh.fingerprint == tiny_cache.fingerprint


def build_elsewhere(request, tmp_path):
    """Builds a cache anew; skips where the engine is not installed."""
    try:
        result = build_cache(request, artifacts_dir=tmp_path / "elsewhere")
    except EngineError as error:
        pytest.skip(str(error))
    assert result.num_computed > 0
    return result.cache


def with_pictures(request, folder):
    """Returns the build of the pictures in another folder."""
    source = SourceRequest(dataset=f"folder:{folder}")
    return dataclasses.replace(request, source=source)
