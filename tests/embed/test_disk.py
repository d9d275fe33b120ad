"""Tests for `embed.disk`."""

import os

from embed.disk import count_bytes


def test_a_folder_has_the_bytes_of_its_files(tmp_path):
    """At any depth; of a link that leads nowhere there are none."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(bytes(3))
    (tmp_path / "deep" / "b").write_bytes(bytes(40))
    os.symlink("nowhere", tmp_path / "link")

    assert count_bytes(tmp_path) == 43
    assert count_bytes(tmp_path / "a") == 3
    assert count_bytes(tmp_path / "gone") == 0
