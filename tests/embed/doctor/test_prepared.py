"""Tests for `embed.doctor.prepared`."""

import pytest

from embed.doctor.prepared import check_datasets
from embed.doctor.prepared import look_at_datasets


@pytest.fixture(name="data_dir")
def _data_dir(tmp_path):
    """Two prepared datasets of 1,000 bytes each, one with a config."""
    data_dir = tmp_path / "my data"
    for name in ("pets/1.0.0", "birds/small/2.0.0"):
        folder = data_dir / name
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_bytes(bytes(400))
        (folder / "birds-train.tfrecord").write_bytes(bytes(600))
    return data_dir


def test_what_is_prepared(data_dir):
    """Names and sizes; nothing is to be done."""
    facts = look_at_datasets(str(data_dir))
    found = check_datasets(facts)

    assert facts["prepared"] == {"pets/1.0.0": 1000, "birds/small/2.0.0": 1000}
    assert (found.level, found.advice) == ("ok", "")
    assert found.detail == f"2 prepared, 2.0 kB, in {data_dir}"


@pytest.mark.parametrize(
    "name", ["pets/incomplete.A1B2C3_1.0.0", "downloads/photos.tar.tmp.0a1b"]
)
def test_what_was_cut_off(data_dir, name):
    """The command that removes it is there; a build does not mind it."""
    (data_dir / name).mkdir(parents=True)

    found = check_datasets(look_at_datasets(str(data_dir)))

    assert found.level == "warning"
    assert f"`rm -rf '{data_dir / name}'`" in found.advice


def test_the_variable_of_tfds_counts(data_dir, monkeypatch):
    """As it does for TFDS, where nothing else is said."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))

    assert look_at_datasets(None)["folder"] == str(data_dir)
