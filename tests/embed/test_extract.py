"""Tests for `embed.extract`: builds from nothing, cut off and refused."""

import contextlib
import dataclasses
import json
import os
import shutil
import threading
import time

import filelock
import numpy as np
import pytest
from PIL import Image

from embed.building.clock import STAGES
from embed.building.lock import lock_build
from embed.cache import open_cache
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
from embed.provenance import host_name
from embed.sources import SourceRequest
from embed.splits import Selection
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import read_datasets
from tests.stopping_console import StoppingConsole

NUM_VIEWS = 2 * (30 + 12)


def test_a_build_leaves_one_cache_and_its_stamps(build, caches_dir):
    """Named after dataset and fingerprint; no part, lock or block stays."""
    result = build()

    name = f"pictures-{result.cache.fingerprint}.h5"
    assert files_in(caches_dir) == [name, f"{name}.stamps"]
    assert result.cache.path == caches_dir / name
    assert result.cache.num_images == {"train": 30, "test": 12}
    assert (result.num_computed, result.num_decoded) == (NUM_VIEWS, 42)
    assert result.views_per_second > 0


def test_classes_without_a_picture_to_train_on_are_told(build, tmp_path, capfd):
    """Of classes of two pictures the hash sends some wholly to test."""
    for number in range(100):
        folder = tmp_path / "classes" / f"class-{number:02}"
        folder.mkdir(parents=True)
        for name in "ab":
            colour = (number, 90, 80)
            Image.new("RGB", (9, 9), colour).save(folder / f"{name}.png")
    source = SourceRequest(dataset=f"folder:{tmp_path / 'classes'}")

    cache = build(source=source, console=Console()).cache

    train, test = (cache.take(Selection(s)).labels for s in ("train", "test"))
    unknown = sorted({*test} - {*train})
    assert unknown
    said = capfd.readouterr().err
    assert f"all pictures of {len(unknown)} of 100 classes" in said
    assert f"'class-{unknown[0]:02}'" in said


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


def test_overwrite_computes_all_again(build):
    """Equal inputs give equal datasets, whoever computed them when."""
    first = build()
    before = read_datasets(first.cache.path)

    again = build(is_overwrite=True)

    assert again.num_computed == NUM_VIEWS
    assert again.cache.path == first.cache.path
    assert_equal_datasets(read_datasets(again.cache.path), before)


def test_overwrite_takes_nothing_over(build, tmp_path):
    """Neither from another cache nor from a build that was cut off."""
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=tmp_path / "a.h5", console=StoppingConsole(80))
    build()

    other = build(cache_path=tmp_path / "b.h5", is_overwrite=True)

    assert other.num_computed == NUM_VIEWS
    assert other.cache.provenance.parents == ()


def test_overwrite_takes_no_block_over(build, digits_source):
    """What a build that was cut off computed is computed again."""
    with pytest.raises(KeyboardInterrupt):  # In the second of four blocks.
        build(source=digits_source, console=StoppingConsole(580))

    assert build(source=digits_source, is_overwrite=True).num_computed == 1200


def test_an_overwrite_that_was_cut_off_goes_on(build, digits_source):
    """From its own blocks, and not from those of the build before."""
    with pytest.raises(KeyboardInterrupt):  # In the last of four blocks.
        build(source=digits_source, console=StoppingConsole(1190))
    with pytest.raises(KeyboardInterrupt):  # In the second.
        build(
            source=digits_source,
            is_overwrite=True,
            console=StoppingConsole(580),
        )

    went_on = build(source=digits_source, is_overwrite=True)

    assert went_on.num_computed == 1200 - 2 * 256
    assert len(went_on.cache.provenance.attempts) == 2


@pytest.mark.parametrize("option", ["--cache PATH", "--artifacts DIR"])
def test_the_option_that_moves_a_cache_is_named(build, tmp_path, option):
    """A file stands where a folder of caches would have to be."""
    (tmp_path / "file").touch()
    place = {
        "--cache PATH": {"cache_path": tmp_path / "file" / "a.h5"},
        "--artifacts DIR": {"artifacts_dir": tmp_path / "file"},
    }

    with pytest.raises(StorageError, match=f"`{option}`"):
        build(**place[option])


def test_a_folder_is_no_place_for_a_cache(build, tmp_path):
    """It is refused before anything is looked for, let alone computed."""
    nowhere = SourceRequest(dataset=f"folder:{tmp_path / 'none'}")
    (tmp_path / "folder").mkdir()

    for is_overwrite in (False, True):
        with pytest.raises(StorageError, match="`--cache PATH`"):
            build(
                cache_path=tmp_path / "folder",
                source=nowhere,
                is_overwrite=is_overwrite,
            )

    assert files_in(tmp_path / "folder") == []


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_builds_agree_whatever_their_batches(build, tmp_path, batch_size):
    """Ids, labels and contents to the bit, features to 1e-6."""
    expected = read_datasets(build().cache.path)

    path = tmp_path / "other.h5"
    build(cache_path=path, is_overwrite=True, batch_size=batch_size)

    for name, values in read_datasets(path).items():
        if name.endswith("features"):
            np.testing.assert_allclose(values, expected[name], atol=1e-6)
        elif not name.endswith("row_digests"):
            np.testing.assert_array_equal(values, expected[name])


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


def test_target_with_a_damaged_index_is_refused(build):
    """It is not built anew in silence: it can be repaired for less."""
    path = build().cache.path
    column = open_cache(path).seal.columns["test"]["labels"]
    change_bytes(path, *place_of(column, 0, 3), flip_a_bit)
    before = path.read_bytes()

    with pytest.raises(CorruptCacheError, match=r"verify .* --repair`"):
        build()

    assert path.read_bytes() == before


def test_overwrite_replaces_the_target(build, tmp_path):
    """The advice of both errors works."""
    path = tmp_path / "mine.h5"
    path.write_text("not precious")

    result = build(cache_path=path, is_overwrite=True)

    assert result.cache.path == path
    assert result.num_computed == NUM_VIEWS


def test_a_killed_build_resumes(build, tmp_path, digits_source):
    """Whole blocks stay, the rest is computed, and no row differs."""
    dirs = {name: tmp_path / name for name in ("stopped", "whole")}
    with pytest.raises(KeyboardInterrupt):  # In the second of four blocks.
        build(
            source=digits_source,
            artifacts_dir=dirs["stopped"],
            console=StoppingConsole(580),
        )
    (build_dir,) = (dirs["stopped"] / "caches").glob("*.building")
    blocks = sorted(path.name for path in build_dir.glob("*/*"))
    part = build_dir / "train" / "00000001.npz.0a1b2c3d.part"
    part.write_bytes(b"half a block")  # As a killed write leaves it.

    resumed = build(source=digits_source, artifacts_dir=dirs["stopped"])
    whole = build(source=digits_source, artifacts_dir=dirs["whole"])

    assert blocks == ["00000000.npz"]
    assert resumed.num_computed == whole.num_computed - 2 * 256
    assert whole.num_computed == 2 * 600
    assert_equal_datasets(
        read_datasets(resumed.cache.path), read_datasets(whole.cache.path)
    )
    assert files_in(dirs["stopped"] / "caches") == files_in(
        dirs["whole"] / "caches"
    )


def test_every_attempt_is_told(build, digits_source):
    """The journal of a build ends up in its cache, kills included."""
    for num_views in (580, 620):
        with pytest.raises(KeyboardInterrupt):
            build(source=digits_source, console=StoppingConsole(num_views))

    attempts = build(source=digits_source).cache.provenance.attempts

    # The last block of a killed attempt counts whole.
    assert [one.num_views for one in attempts] == [600, 688, 88]
    assert {one.pid for one in attempts} == {os.getpid()}
    assert {one.host for one in attempts} == {host_name()}
    assert {one.engine for one in attempts} == {"tensorflow"}


def test_a_damaged_block_is_computed_again(build, digits_source, caches_dir):
    """What a bad disk did to a block costs that block alone."""
    with pytest.raises(KeyboardInterrupt):  # In the last block.
        build(source=digits_source, console=StoppingConsole(1190))
    (block,) = caches_dir.glob("*.building/test/00000000.npz")
    change_bytes(block, 0, block.stat().st_size, flip_a_bit)

    resumed = build(source=digits_source)

    assert resumed.num_computed == 2 * (256 + 44)


class MeddlingConsole(Console):
    """Does something once, when the first views have been computed."""

    def __init__(self, meddle):
        super().__init__()
        self._left = [meddle]

    @contextlib.contextmanager
    def progress(self, task, total, unit, done=0):
        """Yields a progress that meddles."""
        console = self

        class Meddling(Progress):
            def advance(self, amount=1, note=""):
                while console._left:
                    console._left.pop()()

        yield Meddling()


def test_a_build_whose_rows_are_taken_over_may_finish_meanwhile(
    build, tmp_path, capsys
):
    """Its blocks are gone then; the rows come from its cache."""
    path = tmp_path / "mine.h5"
    with pytest.raises(KeyboardInterrupt):  # After the training rows.
        build(cache_path=path, console=StoppingConsole(80))

    plain = build(
        views=("plain",),
        cache_path=tmp_path / "plain.h5",
        console=MeddlingConsole(lambda: build(cache_path=path)),
    )

    assert "has gone on or finished meanwhile" in capsys.readouterr().err
    assert plain.num_computed == 12
    np.testing.assert_array_equal(
        read_datasets(plain.cache.path)["train/features"],
        read_datasets(path)["train/features"][:, :1],
    )


def test_blocks_of_another_spec_are_set_aside_and_used(build, tmp_path):
    """Two builds at one path do not mix, and neither is lost."""
    path = tmp_path / "mine.h5"
    with pytest.raises(KeyboardInterrupt):  # After the training rows.
        build(cache_path=path, console=StoppingConsole(80))

    plain = build(cache_path=path, views=("plain",))
    both = build(cache_path=tmp_path / "both.h5")

    assert plain.num_computed == 12
    assert plain.cache.spec.views == ("plain",)
    assert both.num_computed == 12
    assert not list(tmp_path.glob("*.building"))


def test_blocks_that_say_nothing_are_not_used(build, tmp_path):
    """Without its spec nobody knows what backbone a block is of."""
    path = tmp_path / "mine.h5"
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, console=StoppingConsole(80))
    (tmp_path / "mine.h5.building" / "spec.json").unlink()

    assert build(cache_path=path).num_computed == NUM_VIEWS


def test_bad_picture_fails_with_its_name(build, picture_folder, artifacts_dir):
    """The pass is finished, then every bad picture is named; no cache is."""
    (picture_folder / "test" / "cat" / "00.jpg").write_text("a text file")

    with pytest.raises(
        BadImagesError,
        match=r"1 pictures .* cat/00.jpg \(it is text.*"
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
    np.testing.assert_allclose(
        rows.features, expected.features[kept], atol=1e-6
    )
    skipped = cache.provenance.skipped
    assert {image.image_id for image in skipped} == bad
    assert {image.split for image in skipped} == {"train"}
    assert {len(image.content_digest) for image in skipped} == {64}


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


def test_orientations_are_counted(build, picture_folder):
    """The cache says how many pictures would be turned elsewhere."""
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in (picture_folder / "test" / "dog").glob("*.jpg"):
        Image.open(path).save(path, exif=exif)

    assert build().cache.provenance.num_oriented == 2


def test_one_build_at_a_time(build, tmp_path):
    """A second builder is told who is at it, and leaves all as it is."""
    path = tmp_path / "mine.h5"
    owner = {"host": "elsewhere", "pid": 7, "since": "noon"}

    with filelock.FileLock(tmp_path / "mine.h5.lock"):
        (tmp_path / "mine.h5.owner").write_text(json.dumps(owner))
        with pytest.raises(
            BusyCacheError,
            match=r"process 7 on elsewhere since noon. Wait until .*`--wait`",
        ):
            build(cache_path=path)

    assert not path.exists()


def test_waiting_for_another_builder_computes_nothing(build, tmp_path, capsys):
    """Who waits is told for whom, and takes what the other has built."""
    finished = build().cache.path
    path = tmp_path / "elsewhere" / "mine.h5"
    path.parent.mkdir()
    is_held, inodes = threading.Event(), []

    def hold():
        quiet = Console(is_quiet=True)
        with lock_build(path, is_waiting=False, console=quiet):
            is_held.set()
            for _ in range(600):  # Half a minute.
                if "Waiting for" in capsys.readouterr().err:
                    break
                time.sleep(0.05)
            shutil.copy(finished, path)
            inodes.append(path.stat().st_ino)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    waiting = build(
        cache_path=path,
        artifacts_dir=tmp_path / "empty",
        is_waiting=True,
        console=Console(),
    )
    holder.join()

    assert waiting.num_computed == 0
    assert waiting.cache.path == path
    assert [path.stat().st_ino] == inodes  # Not written anew.


def test_a_finished_cache_is_found_without_the_lock(build):
    """Nobody waits for a cache that is there."""
    cache = build().cache

    with filelock.FileLock(f"{cache.path}.lock"):
        assert build().num_computed == 0


def test_a_lock_of_a_dead_process_is_taken_over(build, tmp_path, capsys):
    """A file that nobody holds is no lock; whose it was is said."""
    path = tmp_path / "mine.h5"
    owner = {"host": "elsewhere", "pid": 7, "since": "noon"}
    (tmp_path / "mine.h5.lock").touch()
    (tmp_path / "mine.h5.owner").write_text(json.dumps(owner))

    assert build(cache_path=path, console=Console()).num_computed == NUM_VIEWS

    said = capsys.readouterr().err
    assert "Taking over from process 7 on elsewhere since noon" in said
    assert not list(tmp_path.glob("mine.h5.[lo]*"))


def test_artifacts_that_cannot_be_written(build, artifacts_dir):
    """A file where the folder should be is found before any work."""
    artifacts_dir.write_text("I am a file")

    with pytest.raises(StorageError, match="`--artifacts DIR`"):
        build()


def test_wrong_engine_is_refused_before_anything_is_read(build, tmp_path):
    """Everything is checked before the first expensive step."""
    nowhere = SourceRequest(dataset=f"folder:{tmp_path / 'none'}")

    with pytest.raises((EngineError, SourceError)):
        build(engine="litert", precision="bfloat16", source=nowhere)
    with pytest.raises(EngineError, match="`--precision float32`"):
        build(engine="litert", precision="bfloat16")


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
    provenance = build(max_pixels=10**6).cache.provenance

    (attempt,) = provenance.attempts
    assert provenance.source.dataset == f"folder:{picture_folder}"
    assert provenance.backbone.handle.startswith("hub:")
    assert provenance.engine == "tensorflow"
    assert provenance.max_pixels == 10**6
    assert provenance.parents == provenance.skipped == ()
    assert set(provenance.seconds) == {*STAGES, "pass"}
    assert attempt.num_views == NUM_VIEWS


def test_a_built_cache_is_whole(build):
    """Every byte that a build writes is what its digests say."""
    cache = open_cache(build().cache.path)

    assert cache.damaged_seals() == []
    assert [len(cache.take(Selection(s))) for s in ("train", "test")] == [
        30,
        12,
    ]


@pytest.fixture(name="killed_at_the_end")
def _killed_at_the_end(build, monkeypatch):
    """A build that ended between the move of its file and its clean-up."""

    def kill(folder, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            build()


@pytest.mark.parametrize(
    ("is_overwrite", "num_computed"), [(False, 0), (True, 84)]
)
def test_blocks_of_a_finished_cache_are_removed(
    killed_at_the_end, build, caches_dir, is_overwrite, num_computed
):
    """They are not taken for a build that goes on, and not for ever kept."""
    assert list(caches_dir.glob("*.building"))

    result = build(is_overwrite=is_overwrite)

    assert result.num_computed == num_computed
    assert not list(caches_dir.glob("*.building"))


def test_an_overwrite_that_was_cut_off_keeps_its_blocks(
    build, artifacts_dir, digits_source
):
    """A look at the old cache, which serves meanwhile, costs no work."""
    whole = build(source=digits_source)
    with pytest.raises(KeyboardInterrupt):
        build(
            source=digits_source,
            is_overwrite=True,
            console=StoppingConsole(580),
        )

    looked = build(source=digits_source)
    went_on = build(source=digits_source, is_overwrite=True)

    assert looked.num_computed == 0
    assert 0 < went_on.num_computed < whole.num_computed
