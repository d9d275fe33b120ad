"""Tests for `embed.doctor.inputs`."""

import dataclasses

import pytest

from embed.doctor import inputs
from embed.doctor.inputs import look_at_dataset


@pytest.fixture(name="parquet_dir")
def _parquet_dir(tmp_path):
    """A folder of two Parquet files of three images each."""
    pytest.importorskip("datasets")
    import pyarrow
    from pyarrow import parquet

    folder = tmp_path / "parquet"
    folder.mkdir()
    for split in ("train", "test"):
        images = [{"bytes": bytes([n]), "path": f"{n}.png"} for n in range(3)]
        table = pyarrow.table({"image": images, "label": ["a", "b", "a"]})
        parquet.write_table(table, folder / f"{split}-0.parquet")
    return folder


@pytest.fixture(name="ask")
def _ask(parquet_dir, subject, tmp_path, monkeypatch):
    """Looks at the folder; where `datasets` writes is a folder of the test."""
    import datasets

    kept = tmp_path / "kept"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", kept)
    asked = dataclasses.replace(subject, dataset=f"hf:{parquet_dir}")
    return lambda: (look_at_dataset(asked), kept.exists())


def test_parquet_is_counted_and_nothing_is_left(ask):
    """What `datasets` makes of it goes where it is removed again."""
    facts, is_left = ask()

    assert facts == {"num_images": {"train": 3, "test": 3}, "urls": []}
    assert not is_left


def test_much_of_it_is_not_counted(ask, monkeypatch):
    """It would be written once more: that is left to the build."""
    monkeypatch.setattr(inputs, "MOST_CONVERTED_BYTES", 10)

    facts, is_left = ask()

    assert facts == {"num_images": None, "urls": []}
    assert not is_left
