"""Tests for `embed.extract` and `embed.build`."""

import contextlib
import dataclasses
import json
import os
import shutil

import filelock
import h5py
import numpy as np
import pytest
from PIL import Image

from embed.console import Console
from embed.console import Progress
from embed.errors import BadImagesError
from embed.errors import BusyCacheError
from embed.errors import CorruptCacheError
from embed.errors import EngineError
from embed.errors import SourceError
from embed.errors import StaleCacheError
from embed.errors import StorageError
from embed.extract import build_cache
from embed.sources import SourceRequest
from embed.splits import Selection

COLUMNS = ["features", "labels", "image_ids", "content_digests"]


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    return tmp_path / "artifacts"


@pytest.fixture(name="build")
def _build(tiny_request, artifacts_dir):
    """Builds the drawn pictures; fields of the request by name."""

    def build(*, is_overwrite=False, console=None, cache_path=None, **fields):
        return build_cache(
            dataclasses.replace(tiny_request, **fields),
            artifacts_dir=artifacts_dir,
            cache_path=cache_path,
            is_overwrite=is_overwrite,
            console=console,
        )

    return build


class StoppingConsole(Console):
    """Interrupts the pass after a number of views, as Ctrl-C does."""

    def __init__(self, num_views):
        super().__init__(is_quiet=True)
        self._num_left = num_views

    @contextlib.contextmanager
    def progress(self, task, total, unit, done=0):
        """Yields a progress that ends in an interrupt."""
        console = self

        class Stopping(Progress):
            def advance(self, amount=1, note=""):
                console._num_left -= amount
                if console._num_left <= 0:
                    raise KeyboardInterrupt

        yield Stopping()


def read_columns(cache):
    """Returns every dataset of a cache file, by split and name."""
    with h5py.File(cache.path) as file:
        return {
            (split, name): file[split][name][:]
            for split in file
            for name in (*COLUMNS, "block_digests")
        }


def assert_equal_rows(cache, other):
    """Both files hold the same datasets, bit by bit."""
    left, right = read_columns(cache), read_columns(other)
    assert left.keys() == right.keys()
    for key, expected in left.items():
        np.testing.assert_array_equal(right[key], expected)


def files_in(folder):
    """Returns the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_build_leaves_one_file(build, artifacts_dir):
    """One cache, named after dataset and fingerprint, and its stamps."""
    result = build()

    name = f"pictures-{result.cache.fingerprint}.h5"
    assert files_in(artifacts_dir / "caches") == [name, f"{name}.stamps"]
    assert result.cache.path == artifacts_dir / "caches" / name
    assert result.cache.num_images == {"train": 30, "test": 12}
    assert (result.num_computed, result.num_decoded) == (84, 42)
    assert result.views_per_second > 0


def test_rows_are_aligned_with_the_source(build, picture_folder):
    """Row by row: the id, its class and the features of its colour."""
    rows = build().cache.take(Selection("test"))

    assert rows.image_ids[0] == "cat/00.jpg"
    assert rows.image_ids[-1] == "été/03.png"
    np.testing.assert_array_equal(rows.labels, np.repeat([0, 1, 2], 4))
    # Left minus right half: positive, and of the mirror negative.
    assert (rows.features[:, 0, 3] > 0.05).all()
    np.testing.assert_allclose(
        rows.features[:, 1, 3], -rows.features[:, 0, 3], atol=1e-6
    )
    assert picture_folder.is_dir()


def test_the_same_again_computes_nothing(build):
    """The work that is there is found, not repeated."""
    first = build()

    again = build()

    assert again.cache.path == first.cache.path
    assert (again.num_computed, again.num_decoded) == (0, 0)


def test_overwrite_computes_again(build):
    """Equal inputs give equal datasets, whoever computed them when."""
    first = build()
    before = read_columns(first.cache)

    again = build(is_overwrite=True)

    assert again.num_computed == 84
    for key, expected in before.items():
        np.testing.assert_array_equal(read_columns(again.cache)[key], expected)


def test_a_cache_with_more_views_serves(build):
    """The plain view is taken out of it: nothing is computed.

    It is a cache of its own, since heads draw from every view there is.
    """
    both = build()

    plain = build(views=("plain",))

    assert plain.num_computed == 0
    assert plain.cache.spec.views == ("plain",)
    np.testing.assert_array_equal(
        plain.cache.take(Selection("train")).features,
        both.cache.take(Selection("train")).features[:, :1],
    )


def test_other_pictures_under_the_same_names_are_seen(build, picture_folder):
    """What a picture holds counts, and not its name alone."""
    first = build()
    digest = first.cache.pictures_digest()
    for path in (picture_folder / "train" / "dog").iterdir():
        other = picture_folder / "train" / "cat" / path.name
        path.write_bytes(other.read_bytes())

    second = build()

    assert second.num_computed == first.num_computed
    assert second.cache.fingerprint == first.cache.fingerprint
    assert second.cache.pictures_digest() != digest


def test_kept_blocks_of_other_pictures_are_computed_again(
    build, picture_folder
):
    """A build that failed keeps no block of pictures replaced since."""
    bad = picture_folder / "train" / "cat" / "00.jpg"
    good = bad.read_bytes()
    bad.write_bytes(b"no picture")
    with pytest.raises(BadImagesError):
        build()
    bad.write_bytes(good)
    for path in (picture_folder / "test" / "dog").iterdir():
        other = picture_folder / "test" / "cat" / path.name
        path.write_bytes(other.read_bytes())

    assert build().num_computed == 84


def test_a_cache_with_fewer_views_does_not_serve(build, artifacts_dir):
    """The mirror has to be computed; the plain cache stays."""
    build(views=("plain",))

    both = build()

    assert both.num_computed == 84
    assert len(files_in(artifacts_dir / "caches")) == 2


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


def test_a_new_picture_is_another_cache(build, picture_folder):
    """Ids are in the fingerprint."""
    first = build()
    cats = picture_folder / "train" / "cat"
    shutil.copy(cats / "00.jpg", cats / "99.jpg")

    second = build()

    assert second.cache.fingerprint != first.cache.fingerprint
    assert second.num_computed == 86


def test_stale_target_is_refused(build, tmp_path):
    """Another cache is never replaced in silence: field, values, command."""
    path = tmp_path / "mine.h5"
    build(cache_path=path, views=("plain",))
    before = path.read_bytes()

    with pytest.raises(
        StaleCacheError,
        match=r"Expected: views=\['plain', 'flip'\]. Received: "
        r"views=\['plain'\]. .*build-cache --overwrite",
    ):
        build(cache_path=path)

    assert path.read_bytes() == before


def test_corrupt_target_is_refused(build, tmp_path):
    """A file that is no cache is not replaced either."""
    path = tmp_path / "mine.h5"
    path.write_text("precious")

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        build(cache_path=path)

    assert path.read_text() == "precious"


def test_overwrite_replaces_the_target(build, tmp_path):
    """The advice of both errors works."""
    path = tmp_path / "mine.h5"
    path.write_text("not precious")

    result = build(cache_path=path, is_overwrite=True)

    assert result.cache.path == path
    assert result.num_computed == 84


def test_interrupted_build_resumes(tmp_path, tiny_request):
    """Whole blocks stay, the rest is computed, and no row differs."""
    request = dataclasses.replace(
        tiny_request, source=SourceRequest(dataset="digits", limit=300)
    )
    stopped_dir, whole_dir = tmp_path / "stopped", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):  # In the second of four blocks.
        build_cache(
            request, artifacts_dir=stopped_dir, console=StoppingConsole(580)
        )
    (build_dir,) = (stopped_dir / "caches").glob("*.building")
    blocks = sorted(path.name for path in build_dir.glob("*/*"))
    part = build_dir / "train" / "00000001.npz.part"
    part.write_bytes(b"half a block")  # As a killed write leaves it.

    resumed = build_cache(request, artifacts_dir=stopped_dir)
    whole = build_cache(request, artifacts_dir=whole_dir)

    assert blocks == ["00000000.npz"]
    assert resumed.num_computed == whole.num_computed - 2 * 256
    assert whole.num_computed == 2 * 600
    assert_equal_rows(resumed.cache, whole.cache)
    assert files_in(stopped_dir / "caches") == files_in(whole_dir / "caches")


def test_damaged_block_is_computed_again(tmp_path, tiny_request):
    """What a bad disk did to a block costs that block alone."""
    request = dataclasses.replace(
        tiny_request, source=SourceRequest(dataset="digits", limit=300)
    )
    artifacts_dir = tmp_path / "artifacts"
    with pytest.raises(KeyboardInterrupt):  # In the last block.
        build_cache(
            request, artifacts_dir=artifacts_dir, console=StoppingConsole(1190)
        )
    (block,) = artifacts_dir.glob("caches/*.building/test/00000000.npz")
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)

    resumed = build_cache(request, artifacts_dir=artifacts_dir)

    assert resumed.num_computed == 2 * (256 + 44)


def test_blocks_of_another_spec_are_no_use(build, tmp_path, picture_folder):
    """A build at the same path of other inputs starts anew."""
    path = tmp_path / "mine.h5"
    (picture_folder / "test" / "cat" / "00.jpg").write_bytes(b"")
    with pytest.raises(BadImagesError):
        build(cache_path=path)

    result = build(cache_path=path, views=("plain",), on_error="skip")

    assert result.num_computed == 42
    assert result.cache.spec.views == ("plain",)


def test_bad_picture_fails_with_its_name(build, picture_folder, artifacts_dir):
    """The pass is finished, then every bad picture is named; no cache is."""
    (picture_folder / "test" / "cat" / "00.jpg").write_text("a text file")

    with pytest.raises(
        BadImagesError,
        match=r"1 pictures .* cat/00.jpg \(Unknown image file format.*"
        "mend or remove .*`--on-error skip`",
    ):
        build()

    assert not list((artifacts_dir / "caches").glob("*.h5"))


def test_many_bad_pictures_are_listed_once(build, picture_folder, capsys):
    """The error names five; the lines above it name all."""
    for path in (picture_folder / "train" / "cat").iterdir():
        path.write_bytes(b"")

    with pytest.raises(BadImagesError, match=r"10 pictures .* and 5 more"):
        build(console=Console())

    listed = capsys.readouterr().err
    assert listed.count("the file is empty") == 10


def test_good_blocks_are_kept_until_the_picture_is_mended(
    build, picture_folder
):
    """Only the block of the bad picture is computed again."""
    path = picture_folder / "test" / "cat" / "00.jpg"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(BadImagesError):
        build()
    path.write_bytes(whole)

    result = build()

    assert result.num_computed == 2 * 12
    assert result.cache.provenance.skipped == ()


def test_skipping_keeps_rows_aligned(build, picture_folder):
    """Features, labels and ids of the others stay together."""
    expected = build().cache.take(Selection("train"))
    bad = {"cat/02.jpg", "été/09.png"}
    for name in bad:
        (picture_folder / "train" / name).write_text("a text file")

    cache = build(on_error="skip", is_overwrite=True).cache

    rows = cache.take(Selection("train"))
    kept = [r for r, i in enumerate(expected.image_ids) if i not in bad]
    assert cache.num_images == {"train": 28, "test": 12}
    assert rows.image_ids == expected.take(np.array(kept)).image_ids
    np.testing.assert_array_equal(rows.labels, expected.labels[kept])
    np.testing.assert_array_equal(rows.features, expected.features[kept])
    skipped = cache.provenance.skipped
    assert {image.image_id for image in skipped} == bad
    assert {image.split for image in skipped} == {"train"}


def test_skipping_across_a_block_keeps_every_digest_right(
    tmp_path, tiny_request, tiny_module_dir
):
    """Good rows move up over the ends of blocks; each is still covered."""
    folder = tmp_path / "many"
    rng = np.random.default_rng(0)
    for class_name in ("a", "b"):
        for split, count in (("train", 150), ("test", 2)):
            class_dir = folder / split / class_name
            class_dir.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
                Image.fromarray(pixels).save(class_dir / f"{number:03}.png")
    (folder / "train" / "a" / "010.png").write_bytes(b"")
    (folder / "train" / "b" / "149.png").write_bytes(b"")

    cache = build_cache(
        dataclasses.replace(
            tiny_request,
            source=SourceRequest(dataset=f"folder:{folder}"),
            on_error="skip",
        ),
        artifacts_dir=tmp_path / "artifacts",
    ).cache

    assert cache.num_images == {"train": 298, "test": 4}
    ids = cache.take(Selection("train")).image_ids
    assert ids[9:11] == ("a/009.png", "a/011.png")
    assert ids[-1] == "b/148.png"


def test_a_split_of_bad_pictures_alone_is_an_error(build, picture_folder):
    """A cache is never without a split, even where bad ones are skipped."""
    test_dir = picture_folder / "test"
    kept_dir = test_dir.rename(picture_folder / "kept")
    shutil.copytree(kept_dir, test_dir)
    for path in test_dir.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(BadImagesError, match=r"12 pictures .* mend or remove"):
        build(on_error="skip")
    shutil.rmtree(test_dir)
    kept_dir.rename(test_dir)

    result = build(on_error="skip")

    assert result.num_computed == 2 * 12
    assert result.cache.num_images == {"train": 30, "test": 12}


def test_orientations_are_counted(build, picture_folder):
    """The cache says how many pictures would be turned elsewhere."""
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in (picture_folder / "test" / "dog").glob("*.jpg"):
        Image.open(path).save(path, exif=exif)

    assert build().cache.provenance.num_oriented == 2


def test_one_build_at_a_time(build, artifacts_dir):
    """A second builder is told who is at it, and leaves all as it is."""
    path = artifacts_dir / "mine.h5"
    path.parent.mkdir()
    lock_path = path.with_name("mine.h5.lock")

    with filelock.FileLock(lock_path):
        owner = {"host": "elsewhere", "pid": os.getpid(), "since": "noon"}
        lock_path.write_text(json.dumps(owner))
        with pytest.raises(
            BusyCacheError,
            match=f"process {os.getpid()} on elsewhere since noon. Wait until",
        ):
            build(cache_path=path)

    assert not path.exists()


def test_lock_of_a_dead_process_does_not_hold(build, artifacts_dir):
    """A file that nobody holds is no lock, whatever stands in it."""
    path = artifacts_dir / "mine.h5"
    path.parent.mkdir()
    path.with_name("mine.h5.lock").write_text("{}")

    assert build(cache_path=path).num_computed == 84
    assert files_in(artifacts_dir) == ["mine.h5"]


def test_artifacts_that_cannot_be_written(build, artifacts_dir):
    """A file where the folder should be is found before any work."""
    artifacts_dir.write_text("I am a file")

    with pytest.raises(StorageError, match="`--artifacts DIR`"):
        build()


def test_wrong_engine_is_refused_before_anything_is_read(build, tmp_path):
    """Everything is checked before the first expensive step."""
    nowhere = SourceRequest(dataset=f"folder:{tmp_path / 'none'}")

    with pytest.raises((EngineError, SourceError)):
        build(engine="tensorflow", precision="bfloat16", source=nowhere)
    with pytest.raises(EngineError, match="`--precision float32`"):
        build(engine="tensorflow", precision="bfloat16")


def test_failed_overwrite_leaves_the_old_cache(build, picture_folder):
    """Until the new file is whole the old one is the cache."""
    first = build()
    before = first.cache.path.read_bytes()
    (picture_folder / "train" / "cat" / "00.jpg").write_bytes(b"")

    with pytest.raises(BadImagesError):
        build(is_overwrite=True)

    assert first.cache.path.read_bytes() == before


def test_provenance_says_how_it_was_built(build, picture_folder):
    """Enough to open the same pictures and the same backbone again."""
    provenance = build().cache.provenance

    assert provenance.source.dataset == f"folder:{picture_folder}"
    assert provenance.backbone.handle.startswith("hub:")
    assert provenance.engine == "tensorflow"
    assert set(provenance.seconds) == {"wait_for_images", "forward", "write"}


def test_a_mended_picture_is_not_left_out_for_ever(
    tiny_request, picture_folder, tmp_path
):
    """Who does not ask to skip gets no cache that skipped."""
    bad = picture_folder / "train" / "cat" / "00.jpg"
    good = bad.read_bytes()
    bad.write_bytes(b"no picture")
    skipping = dataclasses.replace(tiny_request, on_error="skip")
    skipped = build_cache(skipping, artifacts_dir=tmp_path / "artifacts")
    bad.write_bytes(good)

    mended = build_cache(tiny_request, artifacts_dir=tmp_path / "artifacts")

    assert skipped.cache.num_images["train"] == 29
    assert mended.cache.num_images["train"] == 30
