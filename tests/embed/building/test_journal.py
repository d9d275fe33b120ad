"""Tests for `embed.building.journal`."""

import os

import pytest

from embed.building.journal import NAME
from embed.building.journal import Journal
from embed.building.journal import read_journal
from embed.provenance import host_name


@pytest.fixture(name="journal_path")
def _journal_path(tmp_path):
    return tmp_path / NAME


def test_no_journal_has_no_attempts(tmp_path):
    """A build that computed nothing took no attempt."""
    assert read_journal(tmp_path) == ()


def test_each_attempt_is_counted_with_its_views(tmp_path):
    """Who ran when with what, and how many views, block by block."""
    first = Journal(tmp_path, "litert", ["older.h5"])
    first.begin_block("train", 0, 512)
    first.begin_block("train", 1, 512)
    second = Journal(tmp_path, "tensorflow")
    second.begin_block("train", 1, 500)

    attempts = read_journal(tmp_path)

    assert [one.num_views for one in attempts] == [1024, 500]
    assert [one.engine for one in attempts] == ["litert", "tensorflow"]
    assert [one.parents for one in attempts] == [("older.h5",), ()]
    assert {one.pid for one in attempts} == {os.getpid()}
    assert {one.host for one in attempts} == {host_name()}
    assert attempts[0].started <= attempts[1].started


def test_an_attempt_without_a_block_is_counted(tmp_path):
    """A build that was killed at once was tried."""
    Journal(tmp_path, "litert")

    (attempt,) = read_journal(tmp_path)

    assert attempt.num_views == 0


def test_a_journal_cut_off_anywhere_is_read(tmp_path, journal_path):
    """What a full disk or a kill left of it counts, and no crash follows."""
    journal = Journal(tmp_path, "litert")
    for number in range(3):
        journal.begin_block("train", number, 10)
    whole = journal_path.read_bytes()

    for length in range(len(whole)):
        journal_path.write_bytes(whole[:length])
        attempts = read_journal(tmp_path)

        assert sum(one.num_views for one in attempts) in {0, 10, 20, 30}


def test_an_attempt_after_a_cut_off_line_is_whole(tmp_path, journal_path):
    """A new line does not grow onto the half of an old one."""
    Journal(tmp_path, "litert").begin_block("train", 0, 10)
    data = journal_path.read_bytes()
    journal_path.write_bytes(data[:-5])

    Journal(tmp_path, "tensorflow").begin_block("train", 0, 7)

    views = [one.num_views for one in read_journal(tmp_path)]
    assert views == [0, 7]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[1, 2]",
        b"3",
        b'{"attempt": 1}',
        b'{"attempt": [1], "views": 3}',
        b'{"attempt": 1, "views": "many"}',
        b'{"attempt": "x", "started": "noon"}',
        b'{"attempt": "x", "started": 1, "host": 2, "pid": [], "engine": 3}',
        b'{"attempt": 2, "started": "", "host": "", "pid": "c", "engine": ""}',
    ],
)
def test_senseless_lines_are_passed_over(tmp_path, journal_path, line):
    """A damaged journal costs what it said, never the build."""
    journal_path.write_bytes(line + b"\n")
    Journal(tmp_path, "litert").begin_block("train", 0, 10)

    views = [one.num_views for one in read_journal(tmp_path)]

    assert views[-1:] == [10]
