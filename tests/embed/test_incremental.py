"""Tests for `embed.extract`: builds that take rows over from older ones."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

import embed.building.stamps
from embed.building.stamps import NO_STAMP
from embed.building.stamps import read_stamps
from embed.cache import open_damaged
from embed.console import Console
from embed.errors import BadImagesError
from embed.errors import SourceError
from embed.images import digest_content
from embed.sources import SourceRequest
from embed.splits import Selection
from embed.splits import split_train
from tests.conftest import draw_picture
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import read_datasets

NUM_VIEWS = 2 * (30 + 12)


@pytest.fixture(name="train_dir")
def _train_dir(picture_folder):
    return picture_folder / "train"


@pytest.fixture(name="believe_stamps")
def _believe_stamps(monkeypatch):
    """Makes pictures that were written just now count as settled."""
    monkeypatch.setattr(embed.building.stamps, "RACY_NANOSECONDS", 0)


@pytest.fixture(name="opened")
def _opened(monkeypatch, picture_folder):
    """The pictures that were opened since."""
    paths = []
    open_file = os.open

    def open_and_note(path, *arguments, **options):
        if str(path).startswith(str(picture_folder)):
            paths.append(str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_and_note)
    return paths


def add_pictures(class_dir, count, seed=1):
    """Draws some more pictures into a folder."""
    rng = np.random.default_rng(seed)
    class_dir.mkdir(exist_ok=True)
    for number in range(count):
        picture = Image.fromarray(draw_picture(number % 3, rng))
        picture.save(class_dir / f"new-{seed}-{number}.png")


def draw_uncompressed(path, seed):
    """Draws a picture whose file is as long as that of any other."""
    pixels = draw_picture(0, np.random.default_rng(seed))
    Image.fromarray(pixels).save(path, compress_level=0)


def replace_picture(path, seed=9):
    """Draws another picture under the same name."""
    add_pictures(path.parent, 1, seed)
    (path.parent / f"new-{seed}-0.png").rename(path)


def fresh_datasets(build, tmp_path, **fields):
    """Returns the datasets of a build that takes nothing over."""
    path = tmp_path / "fresh" / "fresh.h5"
    cache = build(cache_path=path, is_overwrite=True, **fields).cache
    return read_datasets(cache.path)


def test_the_same_again_computes_nothing(build, capsys):
    """The work that is there is found, said so, and not repeated."""
    first = build()

    again = build(console=Console())

    assert again.cache.path == first.cache.path
    assert (again.num_computed, again.num_decoded) == (0, 0)
    assert "holds these vectors already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"batch_size": 7}, {"on_error": "skip"}, {"engine": "auto"}]
)
def test_how_it_was_built_does_not_matter(build, change):
    """Batch size, engine and error mode are not in the fingerprint."""
    first = build()

    again = build(**change)

    assert again.cache.path == first.cache.path
    assert again.num_computed == 0


def test_a_moved_folder_is_the_same_dataset(build, picture_folder, tmp_path):
    """Where the pictures lie is not in the fingerprint."""
    first = build()
    moved = picture_folder.rename(tmp_path / "moved")

    again = build(source=SourceRequest(dataset=f"folder:{moved}"))

    assert again.cache.fingerprint == first.cache.fingerprint
    assert again.num_computed == 0


@pytest.mark.parametrize("count", [1, 5])
def test_added_pictures_alone_are_computed(build, tmp_path, train_dir, count):
    """As many as are new, in each view; the rows are those of a new build."""
    first = build()
    add_pictures(train_dir / "dog", count)

    second = build()

    assert second.num_computed == 2 * count
    assert second.num_decoded == count
    assert second.cache.fingerprint != first.cache.fingerprint
    assert second.cache.provenance.parents == (first.cache.path.name,)
    assert_close(second, fresh_datasets(build, tmp_path))


def assert_close(result, expected):
    """Equal but for batches, which may move the last bit of a feature."""
    for name, values in read_datasets(result.cache.path).items():
        if name.endswith("features"):
            np.testing.assert_allclose(values, expected[name], atol=1e-6)
        elif not name.endswith("row_digests"):
            np.testing.assert_array_equal(values, expected[name])


def test_a_replaced_picture_alone_is_computed(build, tmp_path, train_dir):
    """What a picture holds counts, and not its name alone."""
    first = build()
    replace_picture(train_dir / "dog" / "03.png")

    second = build()

    assert second.num_computed == 2
    assert second.cache.path == first.cache.path
    digests = [r.cache.pictures_digest() for r in (first, second)]
    assert digests[0] != digests[1]
    assert_close(second, fresh_datasets(build, tmp_path))


def test_a_removed_picture_costs_nothing(build, tmp_path, train_dir):
    """Its row is gone, the others are where they belong."""
    build()
    (train_dir / "dog" / "03.png").unlink()

    second = build()

    assert second.num_computed == 0
    assert second.cache.num_images["train"] == 29
    assert "dog/03.png" not in second.cache.image_ids("train")
    assert_close(second, fresh_datasets(build, tmp_path))


def test_a_renamed_picture_is_another(build, train_dir):
    """Ids are names: what goes by another one is computed."""
    build()
    (train_dir / "dog" / "03.png").rename(train_dir / "dog" / "99.png")

    assert build().num_computed == 2


def test_flip_added_to_plain_computes_the_mirrors_alone(build, tmp_path):
    """The rows equal those of a new build of both, bit by bit."""
    plain = build(views=("plain",))

    both = build()

    assert plain.num_computed == both.num_computed == 42
    assert both.cache.provenance.parents == (plain.cache.path.name,)
    assert plain.cache.path.exists()
    assert_equal_datasets(
        read_datasets(both.cache.path), fresh_datasets(build, tmp_path)
    )


def test_plain_asked_of_flip_computes_nothing(build, tmp_path):
    """It is a cache of its own, since heads draw from every view there is."""
    both = build()

    plain = build(views=("plain",))

    assert plain.num_computed == 0
    assert plain.cache.path != both.cache.path
    assert plain.cache.spec.views == ("plain",)
    assert_equal_datasets(
        read_datasets(plain.cache.path),
        fresh_datasets(build, tmp_path, views=("plain",)),
    )


def test_rows_come_from_several_caches(build, picture_folder, train_dir):
    """A picture that came back is known from the older cache."""
    path = train_dir / "dog" / "03.png"
    build()
    kept = path.rename(picture_folder / "kept.png")
    add_pictures(train_dir / "cat", 2)
    build()
    kept.rename(path)

    third = build()

    assert third.num_computed == 0
    assert third.cache.num_images["train"] == 32
    assert len(third.cache.provenance.parents) == 2


def test_a_new_class_shifts_labels_and_computes_itself(
    build, tmp_path, train_dir
):
    """Old rows are taken over with the labels they have now."""
    old = build().cache.take(Selection("train"))
    add_pictures(train_dir / "bird", 3)

    second = build()

    rows = second.cache.take(Selection("train"))
    assert second.num_computed == 6
    assert second.cache.spec.class_names == ("bird", "cat", "dog", "été")
    np.testing.assert_array_equal(rows.labels[:3], [0, 0, 0])
    np.testing.assert_array_equal(rows.labels[3:], old.labels + 1)
    np.testing.assert_array_equal(rows.features[3:], old.features)
    assert_close(second, fresh_datasets(build, tmp_path))


def test_old_pictures_keep_their_side(build, train_dir):
    """Adding pictures moves none between training and validation."""
    sides = []
    for count in (0, 20):
        add_pictures(train_dir / "cat", count)
        ids = build().cache.image_ids("train")
        in_val = split_train(ids).val.rows
        sides.append({i: n in in_val for n, i in enumerate(ids)})

    before, after = sides
    assert len(after) == len(before) + 20
    assert {image_id: after[image_id] for image_id in before} == before


def test_a_picture_with_its_old_times_is_seen(build, believe_stamps, train_dir):
    """Size and mtime can be set back; the change time cannot."""
    path = train_dir / "dog" / "03.png"
    draw_uncompressed(path, seed=1)
    build()
    old = path.stat()
    draw_uncompressed(path, seed=2)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))

    second = build()

    assert path.stat().st_size == old.st_size
    assert path.stat().st_mtime_ns == old.st_mtime_ns
    assert second.num_computed == 2


def test_stamps_spare_the_reading(build, believe_stamps, opened):
    """A second build opens no picture."""
    build()
    num_opened = len(opened)

    second = build()

    assert num_opened == 42
    assert opened[num_opened:] == []
    assert second.num_computed == 0


def test_fresh_pictures_are_read_again(build, opened):
    """Without a clock to rely on, only reading tells."""
    build()
    num_opened = len(opened)

    second = build()

    assert len(opened) == 2 * num_opened
    assert second.num_computed == 0
    assert (read_stamps(second.cache, "train") == NO_STAMP).all()


def test_touched_pictures_are_read_and_known(
    build, believe_stamps, opened, train_dir
):
    """Equal bytes compute nothing, and nothing else is read."""
    build()
    touched = [train_dir / "cat" / "00.jpg", train_dir / "dog" / "01.png"]
    for path in touched:
        os.utime(path, ns=(1, 1))
    opened.clear()

    second = build()

    assert second.num_computed == 0
    assert sorted(opened) == sorted(map(str, touched))


def test_stamps_of_touched_pictures_are_refreshed(
    build, believe_stamps, opened, train_dir
):
    """They are read once, and not by every later build."""
    build()
    os.utime(train_dir / "cat" / "00.jpg", ns=(1, 1))
    build()
    opened.clear()

    build()

    assert opened == []


def test_added_pictures_alone_are_read(
    build, believe_stamps, opened, train_dir
):
    """The stamps of rows that are taken over are taken over with them."""
    build()
    add_pictures(train_dir / "cat", 2)
    opened.clear()
    build()
    num_opened = len(opened)

    build()

    assert num_opened == len(opened) == 2


def test_a_lost_stamps_file_costs_one_reading(build, believe_stamps, opened):
    """Pictures are compared by content, and nothing is computed."""
    cache = build().cache
    cache.path.with_name(cache.path.name + ".stamps").unlink()
    opened.clear()

    again = build()

    assert again.num_computed == 0
    assert len(opened) == 42


def test_a_mended_picture_alone_is_computed(build, picture_folder):
    """A build that failed keeps all good rows."""
    path = picture_folder / "test" / "cat" / "00.jpg"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(BadImagesError):
        build()
    path.write_bytes(whole)

    result = build()

    assert result.num_computed == 2
    assert result.cache.provenance.skipped == ()


def test_a_removed_bad_picture_costs_nothing(build, picture_folder, caches_dir):
    """The build goes on under another fingerprint; no block stays behind."""
    path = picture_folder / "train" / "cat" / "00.jpg"
    path.write_bytes(b"")
    with pytest.raises(BadImagesError):
        build()
    path.unlink()

    result = build()

    name = result.cache.path.name
    assert result.num_computed == 0
    assert files_in(caches_dir) == [name, f"{name}.stamps"]


def test_blocks_of_pictures_replaced_since_are_not_used(build, picture_folder):
    """A build that failed keeps rows by content, and not by name."""
    bad = picture_folder / "train" / "cat" / "00.jpg"
    good = bad.read_bytes()
    bad.write_bytes(b"no picture")
    with pytest.raises(BadImagesError):
        build()
    bad.write_bytes(good)
    for path in (picture_folder / "test" / "dog").iterdir():
        replace_picture(path, seed=int(path.stem))

    assert build().num_computed == 2 * (1 + 4)


def test_skipping_again_computes_nothing(build, train_dir):
    """A bad picture is known by its bytes, and its reason is kept."""
    (train_dir / "cat" / "00.jpg").write_text("a text file")
    first = build(on_error="skip")

    again = build(on_error="skip")

    (skipped,) = first.cache.provenance.skipped
    assert (skipped.split, skipped.image_id) == ("train", "cat/00.jpg")
    assert skipped.content_digest == digest_content(b"a text file").hex()
    assert (again.num_computed, again.num_decoded) == (0, 0)
    assert again.cache.path == first.cache.path


@pytest.mark.parametrize("on_error", ["skip", "fail"])
def test_a_mended_picture_is_taken_in(build, train_dir, on_error):
    """No picture is left out for ever, whoever asks."""
    path = train_dir / "cat" / "00.jpg"
    whole = path.read_bytes()
    path.write_text("a text file")
    build(on_error="skip")
    path.write_bytes(whole)

    mended = build(on_error=on_error)

    assert mended.num_computed == 2
    assert mended.cache.num_images["train"] == 30
    assert mended.cache.provenance.skipped == ()


def test_a_cache_that_skipped_does_not_serve_who_does_not(build, train_dir):
    """Who does not ask to skip is told of the picture once more."""
    (train_dir / "cat" / "00.jpg").write_text("a text file")
    build(on_error="skip")

    with pytest.raises(BadImagesError, match=r"1 pictures .* cat/00.jpg"):
        build()


def test_a_larger_limit_looks_at_large_pictures_again(build):
    """A picture is bad under the limit it was judged by."""
    with pytest.raises(BadImagesError, match=r"42 pictures .*--max-pixels"):
        build(max_pixels=100, on_error="skip")

    assert build(on_error="skip").num_computed == NUM_VIEWS


def test_a_parent_with_a_damaged_index_is_passed_over(
    build, tmp_path, train_dir
):
    """Nothing is taken from it, and nothing is lost but time."""
    first = build()
    column = first.cache.seal.columns["test"]["content_digests"]
    change_bytes(first.cache.path, *place_of(column, 0, 3), flip_a_bit)
    add_pictures(train_dir / "cat", 1)

    second = build()

    assert second.num_computed == NUM_VIEWS + 2
    assert second.cache.provenance.parents == ()
    assert_close(second, fresh_datasets(build, tmp_path))


@pytest.mark.parametrize("rows", [(3,), (3, 17)])
def test_damaged_rows_of_a_parent_alone_are_computed(
    build, train_dir, capsys, rows
):
    """They are never used; all others are, and what is damaged is said."""
    first = build().cache
    column = open_damaged(first.path).seal.columns["train"]["features"]
    for row in rows:
        change_bytes(first.path, *place_of(column, row, row), flip_a_bit)
    damaged = first.path.read_bytes()
    add_pictures(train_dir / "cat", 1)

    second = build(console=Console())

    assert second.num_computed == 2 * (1 + len(rows))
    assert second.num_decoded == 1 + len(rows)
    assert second.cache.provenance.parents == (first.path.name,)
    assert first.path.read_bytes() == damaged
    said = capsys.readouterr().err
    assert f"{first.path.name} is corrupt" in said
    assert "Its damaged rows are computed again." in said


def test_seconds_of_a_cache_are_of_its_last_attempt(build, train_dir):
    """Its views are too: two passes of a call are no slow one."""
    first = build().cache
    column = open_damaged(first.path).seal.columns["train"]["features"]
    change_bytes(first.path, *place_of(column, 3, 3), flip_a_bit)
    add_pictures(train_dir / "cat", 1)

    second = build()

    made = second.cache.provenance
    assert [attempt.num_views for attempt in made.attempts] == [2, 2]
    assert second.num_computed == 4
    assert made.num_timed == 2
    assert 0 < made.seconds["pass"] < second.seconds["pass"]


def test_rows_beside_damaged_ones_are_those_of_a_new_build(
    build, tmp_path, train_dir
):
    """Bit by bit, where each picture is a batch of its own."""
    first = build(batch_size=1).cache
    for split, row in (("train", 3), ("test", 7)):
        column = open_damaged(first.path).seal.columns[split]["features"]
        change_bytes(first.path, *place_of(column, row, row), flip_a_bit)
    add_pictures(train_dir / "cat", 1)

    second = build(batch_size=1)

    assert second.num_computed == 2 * (1 + 2)
    assert_equal_datasets(
        read_datasets(second.cache.path),
        fresh_datasets(build, tmp_path, batch_size=1),
    )


def test_damaged_rows_cost_the_missing_view_and_their_own(build, tmp_path):
    """A view is put beside good rows; bad ones are computed whole."""
    plain = build(views=("plain",), batch_size=1).cache
    column = open_damaged(plain.path).seal.columns["train"]["features"]
    change_bytes(plain.path, *place_of(column, 3, 3), flip_a_bit)

    both = build(batch_size=1)

    assert_equal_datasets(
        read_datasets(both.cache.path),
        fresh_datasets(build, tmp_path, batch_size=1),
    )


def test_a_parent_of_a_larger_limit_hands_it_on(build, train_dir):
    """Its pictures were decoded under it; they could not be again by less."""
    build(max_pixels=10**6)
    add_pictures(train_dir / "cat", 1)
    smaller = build(max_pixels=10**5)
    add_pictures(train_dir / "cat", 1, seed=2)

    larger = build(max_pixels=10**7)

    limits = [r.cache.provenance.max_pixels for r in (smaller, larger)]
    assert smaller.num_computed == larger.num_computed == 2
    assert limits == [10**6, 10**7]


def test_the_limit_of_a_parent_is_not_that_of_what_was_skipped(
    build, train_dir
):
    """Rows handed on keep theirs; a picture is bad under that of its build."""
    build(max_pixels=10**6)
    image = Image.fromarray(np.zeros((400, 400, 3), np.uint8))
    image.save(train_dir / "cat" / "large.png")
    smaller = {"max_pixels": 10**5, "on_error": "skip"}
    first = build(**smaller).cache
    inode = first.path.stat().st_ino

    again = build(**smaller)
    is_untouched = again.cache.path.stat().st_ino == inode
    larger = build(max_pixels=10**6, on_error="skip")

    assert [s.image_id for s in first.provenance.skipped] == ["cat/large.png"]
    assert is_untouched
    assert (again.num_decoded, larger.num_computed) == (0, 2)
    assert larger.cache.provenance.skipped == ()


def test_skipping_what_cannot_be_read_again_writes_nothing(build, train_dir):
    """The cache serves while the picture stays as it is, and no longer."""
    path = train_dir / "cat" / "00.jpg"
    whole = path.read_bytes()
    path.unlink()
    path.symlink_to(train_dir / "gone.jpg")
    first = build(on_error="skip")
    inode = first.cache.path.stat().st_ino

    again = build(on_error="skip")

    (skipped,) = first.cache.provenance.skipped
    assert (skipped.image_id, skipped.content_digest) == ("cat/00.jpg", "")
    assert (again.num_computed, again.num_decoded) == (0, 0)
    assert again.cache.path.stat().st_ino == inode
    path.unlink()
    path.write_bytes(whole)
    mended = build(on_error="skip")
    assert mended.num_computed == 2
    assert mended.cache.provenance.skipped == ()


def test_a_picture_that_changes_meanwhile_is_told(build, picture_folder):
    """Views of two pictures are never put side by side."""
    build(views=("plain",))

    class ChangingConsole(Console):
        def say(self, text):
            if text.startswith("Embedding"):
                replace_picture(picture_folder / "test" / "dog" / "01.png")

    with pytest.raises(SourceError, match=r"dog/01.png changed while .* again"):
        build(console=ChangingConsole(is_quiet=True))

    assert build().num_computed <= 12 + 1


def test_all_pictures_gone_is_an_error(build, picture_folder):
    """A folder that is not there is no dataset without pictures."""
    build()
    shutil.rmtree(picture_folder)

    with pytest.raises(SourceError, match="There is no folder"):
        build()
