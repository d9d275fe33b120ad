"""What tests of `embed` share: builds of the drawn pictures."""

import dataclasses

import pytest

from embed.sources import SourceRequest


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    return tmp_path / "artifacts"


@pytest.fixture(name="caches_dir")
def _caches_dir(artifacts_dir):
    return artifacts_dir / "caches"


@pytest.fixture(name="build")
def _build(tiny_request, artifacts_dir):
    """Builds the drawn pictures, 30 and 12, with the tiny backbone.

    Takes the options of `build_cache` and fields of the request by name.
    """
    from embed.extract import build_cache

    def build(
        *,
        is_overwrite=False,
        is_waiting=False,
        console=None,
        cache_path=None,
        artifacts_dir=artifacts_dir,
        **fields,
    ):
        return build_cache(
            dataclasses.replace(tiny_request, **fields),
            artifacts_dir=artifacts_dir,
            cache_path=cache_path,
            is_overwrite=is_overwrite,
            is_waiting=is_waiting,
            console=console,
        )

    return build


@pytest.fixture(name="digits_source")
def _digits_source():
    """300 digits a split: two blocks each, read fast."""
    return SourceRequest(dataset="digits", limit=300)
