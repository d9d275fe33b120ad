"""Tests for `embed.decoding.formats`."""

import pytest

from embed.decoding.formats import DECODED
from embed.decoding.formats import DECODED_SUFFIXES
from embed.decoding.formats import NUM_FIRST_BYTES
from embed.decoding.formats import OTHER_SUFFIXES
from embed.decoding.formats import detect_decoded
from embed.decoding.formats import is_picture
from tests.odd_pictures import odd_pictures
from tests.odd_pictures import undamaged_pictures


def test_undamaged_pictures_are_known_by_their_first_bytes():
    """Every format that is decoded is detected, and no other."""
    found = {detect_decoded(odd.encoded) for odd in undamaged_pictures()}

    assert found == set(DECODED)


@pytest.mark.parametrize("odd", odd_pictures(), ids=lambda odd: odd.name)
def test_every_odd_picture_has_a_known_ending(odd):
    """Not one of them would be passed over in a folder."""
    is_known = odd.suffix.lower() in DECODED_SUFFIXES | OTHER_SUFFIXES

    assert is_known or is_picture(odd.encoded[:NUM_FIRST_BYTES])


@pytest.mark.parametrize(
    "first_bytes",
    [
        *(b"", b"BM", b"BMW\n", b"cat,1\n", b"P5", b"P3 is a name\n", b"GIF"),
        *(
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"\0\0\0\x18ftypmp42",
            b"%PDF-1.7",
            bytes(64),
        ),
        *(b"<?xml version='1.0'?><annotation/>", b"\0\0\1\0\0\0", b"{}"),
    ],
)
def test_other_files_are_no_pictures(first_bytes):
    """Texts, sounds, videos, labels and the like are passed over."""
    assert not is_picture(first_bytes)
