"""A build whose blocks lie in an object store, on a server of this machine."""

import dataclasses
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

from embed.building.blocks import Block
from embed.building.blocks import BlockKey
from embed.building.blocks import read_block
from embed.building.blocks import write_block
from embed.building.folder import build_dir_of
from embed.building.place import open_blocks_dir
from embed.building.remote import _share
from embed.console import Console
from embed.errors import BadImagesError
from embed.errors import CorruptCacheError
from embed.errors import StorageError
from embed.extract import build_cache
from embed.upkeep.listing import list_caches
from tests.conftest import draw_picture
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import create_spec
from tests.drawn_caches import files_in
from tests.drawn_caches import read_datasets
from tests.stopping_console import StoppingConsole

NUM_VIEWS = 2 * (30 + 12)
PLACE = "s3://shelf/blocks"
TRAIN_VIEWS = 2 * 30  # Of the one block that is there after an interruption.


@pytest.fixture(name="server", scope="module")
def _server():
    from tests.loopback_store import LoopbackStore

    server = LoopbackStore()
    yield server
    server.stop()


@pytest.fixture(name="store")
def _store(server, monkeypatch):
    """An empty store, and the variables by which anybody finds it."""
    from s3fs import S3FileSystem

    server.clear()
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    _share.cache_clear()
    yield server
    S3FileSystem.clear_instance_cache()
    _share.cache_clear()


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "there" / "cache.h5"


@pytest.fixture(name="build")
def _build(tiny_request, path, tmp_path):
    """Builds the drawn pictures, 30 and 12, with blocks in the store.

    Takes fields of the request and options of `build_cache` by name.
    """

    def build(
        *,
        blocks=PLACE,
        console=None,
        is_overwrite=False,
        path=path,
        **fields,
    ):
        return build_cache(
            dataclasses.replace(tiny_request, blocks=blocks, **fields),
            artifacts_dir=tmp_path / "artifacts",
            cache_path=path,
            is_overwrite=is_overwrite,
            console=console,
        )

    return build


@pytest.fixture(name="local")
def _local(build, tmp_path):
    """The datasets of a build that knows no store."""
    result = build(blocks=None, path=tmp_path / "local" / "cache.h5")
    return read_datasets(result.cache.path)


def interrupt(build, **options):
    """Builds the training rows, which are 60 of 84 views, and no more."""
    with pytest.raises(KeyboardInterrupt):
        build(console=StoppingConsole(80), **options)


def find_block(store):
    """Returns the name of the one block in the store."""
    (name,) = [n for n in store.names() if n.endswith(".npz")]
    return name


def add_picture(picture_folder):
    """Draws one more picture into the train split."""
    picture = Image.fromarray(draw_picture(0, np.random.default_rng(1)))
    picture.save(picture_folder / "train" / "cat" / "new.png")


def test_a_store_makes_no_difference(store, build, local, path):
    """Equal rows, bit by bit, and nothing is left where the blocks were."""
    store.put("blocks/notes.txt", b"precious")

    result = build()

    assert result.num_computed == NUM_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)
    assert store.names() == ["blocks/notes.txt"]
    assert files_in(path.parent) == ["cache.h5", "cache.h5.stamps"]
    puts = [p for method, p in store.requests if method == "PUT"]
    assert sum(p.endswith(".npz") for p in puts) == 2


@pytest.mark.slow
def test_workers_write_to_the_store_themselves(store, build, local):
    """Their rows are those of one process that knows no store."""
    result = build(num_workers=2)

    assert result.num_computed == NUM_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)
    puts = [p for method, p in store.requests if method == "PUT"]
    assert sum(p.endswith(".npz") for p in puts) == 2
    assert store.names() == []


def test_an_interrupted_build_goes_on_from_the_store(store, build, local, path):
    """What is there is not computed again; the driver's own files are here."""
    interrupt(build)
    folder = find_block(store).rpartition("/train/")[0]
    assert store.names() == [
        f"{folder}/spec.json",
        f"{folder}/token",
        f"{folder}/train/00000000.npz",
    ]
    assert files_in(build_dir_of(path)) == [
        "journal.jsonl",
        "place",
        "spec.json",
    ]

    result = build()

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)
    assert store.names() == []


def test_a_build_without_its_bad_pictures_uses_up_the_blocks(
    store, build, picture_folder, tmp_path
):
    """Each is fetched for the plan, for the cache, and before it is removed."""
    bad = picture_folder / "train" / "cat" / "bad.png"
    bad.write_bytes(b"")
    path = tmp_path / "there" / "first.h5"
    with pytest.raises(BadImagesError):
        build(path=path)
    bad.unlink()
    store.requests.clear()

    result = build()

    assert result.num_computed == 0
    gets = [p for m, p in store.requests if m == "GET" and p.endswith(".npz")]
    assert len(gets) == 3 * len({*gets}) == 6
    assert store.names() == []
    assert not build_dir_of(path).exists()


def test_a_block_is_written_by_another_process(store, path):
    """All that it needs is the path, and credentials in its variables."""
    blocks_dir = open_blocks_dir(PLACE, path, create_spec())
    key = BlockKey("train", 0, 0, 2)
    block = Block(
        image_ids=np.array([b"a", b"b"]),
        features=np.ones((2, 1, 3), np.float32),
        content_digests=np.zeros((2, 32), np.uint8),
        is_oriented=np.zeros(2, bool),
        stamps=np.zeros((2, 3), np.int64),
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(write_block, block, key.path_in(blocks_dir)).result()

    found = read_block(key.path_in(blocks_dir))

    np.testing.assert_array_equal(found.features, block.features)


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_truncated_object_counts_as_absent(store, build, local, size):
    """It is computed again, and the object replaced."""
    interrupt(build)
    name = find_block(store)
    store.put(name, store.get(name)[:size])

    result = build()

    assert result.num_computed == NUM_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)


def test_nothing_that_is_not_ours_is_removed(store, build):
    """Not even where it lies among the blocks."""
    interrupt(build)
    folder = find_block(store).rpartition("/train/")[0]
    others = [
        "blocks-of-mine/a.npz",
        "blocks/other.blocks/train/00000000.npz",
        "notes.txt",
        f"{folder}-2/train/00000000.npz",
        f"{folder}/mine.txt",
        f"{folder}/train/mine.npy",
    ]
    for name in others:
        store.put(name, b"precious")

    build()

    assert store.names() == sorted(others)


def test_a_dataset_that_grew_takes_over_from_the_store(
    store, build, picture_folder
):
    """Blocks of a build of fewer pictures are of use, and go when all are."""
    interrupt(build)
    add_picture(picture_folder)

    result = build()

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS + 2
    assert store.names() == []


def test_two_builds_of_the_same_do_not_mix(store, build, tmp_path):
    """One takes over what the other has, and removes nothing of it."""
    interrupt(build)
    names = store.names()

    result = build(path=tmp_path / "other" / "cache.h5")

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert store.names() == names
    assert build().num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert store.names() == []


def test_all_is_computed_anew_on_request(store, build):
    """What the store holds of an earlier build is not taken over."""
    interrupt(build)

    interrupt(build, is_overwrite=True)
    result = build(is_overwrite=True)

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    views = [a.num_views for a in result.cache.provenance.attempts]
    assert views == [NUM_VIEWS, NUM_VIEWS - TRAIN_VIEWS]
    assert store.names() == []


def test_a_build_that_goes_on_without_its_store_says_so(
    store, build, local, capsys
):
    """It computes again, and names the place of what it leaves alone."""
    interrupt(build)
    names = store.names()

    result = build(blocks=None, console=Console())

    assert result.num_computed == NUM_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)
    assert store.names() == names
    said = capsys.readouterr().err
    assert f"left in s3://shelf/{names[0].rpartition('/')[0]} stay" in said


def test_a_build_that_goes_on_in_a_store_takes_over_what_is_here(
    store, build, local
):
    """Blocks beside the cache are as good as those in the store."""
    interrupt(build, blocks=None)

    result = build()

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)


def test_a_shared_folder_is_a_place_too(build, local, tmp_path):
    """The same command goes on from it, and leaves it empty."""
    folder = tmp_path / "shared"
    interrupt(build, blocks=str(folder))
    (blocks_dir,) = folder.iterdir()
    assert files_in(blocks_dir) == ["spec.json", "token", "train"]

    result = build(blocks=str(folder))

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)
    assert list(folder.iterdir()) == []


def test_a_list_says_where_the_blocks_are(store, build, tmp_path):
    """No share is computed of what was not asked for in the store."""
    path = tmp_path / "artifacts" / "caches" / "cache.h5"
    interrupt(build, path=path)
    folder = find_block(store).rpartition("/train/")[0]

    (row,) = list_caches(tmp_path / "artifacts")

    assert row["status"] == f"unfinished, blocks in s3://shelf/{folder}"


def test_no_credential_is_written_down(store, build, path, monkeypatch):
    """Neither here nor in the store."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    interrupt(build)

    here = [p.read_bytes() for p in build_dir_of(path).iterdir()]
    there = [store.get(name) for name in store.names()]
    assert len(here + there) == 6
    assert not any(b"very-secret" in content for content in here + there)
    provenance = build().cache.provenance
    assert "very-secret" not in json.dumps(provenance.model_dump(mode="json"))


def test_a_missing_bucket_is_told_before_the_backbone_is_loaded(
    store, build, path
):
    """The store's own words are in the message."""
    with pytest.raises(
        StorageError,
        match=r"^s3://no-such-bucket/blocks cannot .* a bucket .*does not",
    ):
        build(blocks="s3://no-such-bucket/blocks")

    assert not build_dir_of(path).exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_place_that_may_not_be_used_is_told_first(store, build, path, method):
    """Listing, writing and removing are tried before the pass."""
    if method in ("DELETE", "POST"):  # By which of them, is the library's.
        store.fail("DELETE", "403 Forbidden", "AccessDenied")
        store.fail("POST", "403 Forbidden", "AccessDenied")
    store.fail(method, "403 Forbidden", "AccessDenied")

    with pytest.raises(
        StorageError, match=r"access is denied.*AWS_ACCESS_KEY_ID.*`--blocks`"
    ):
        build()

    assert not build_dir_of(path).exists()


def test_missing_credentials_are_told_first(store, build, monkeypatch):
    """Nothing but their absence is in the way."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StorageError, match=r"access is denied.*AWS_PROFILE"):
        build()


def test_a_host_that_cannot_be_reached_is_told_first(
    store, build, monkeypatch, in_time
):
    """It is not tried for minutes, and its address is in the message."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(
        StorageError, match=r"nobody answers.*http://127\.0\.0\.1:9"
    ):
        in_time(build)


def test_a_store_that_stumbles_is_asked_again(store, build, local):
    """A moment's refusal costs a moment."""
    store.fail("PUT", "503 Slow Down", "SlowDown", times=2, but=1)

    result = build()

    assert_equal_datasets(read_datasets(result.cache.path), local)


def test_a_store_that_stays_away_keeps_what_is_finished(
    store, build, local, monkeypatch
):
    """The build ends with one line, and goes on when the store is back."""
    # Probe, spec, token and the first of two blocks are written.
    store.fail("PUT", "403 Forbidden", "AccessDenied", but=4)
    with pytest.raises(StorageError, match=r"cannot be written.*is kept"):
        build()
    store.fail("PUT", "", "", times=0)

    result = build()

    assert result.num_computed == NUM_VIEWS - TRAIN_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)


def test_a_store_that_cannot_be_read_is_no_empty_store(store, build):
    """Nothing is computed again because nobody knew that it was there."""
    interrupt(build)
    names = store.names()
    # The listing and the probe are answered, and what follows is not.
    store.fail("GET", "403 Forbidden", "AccessDenied", but=2)

    with pytest.raises(StorageError, match="access is denied"):
        build()

    store.fail("GET", "", "", times=0)
    assert store.names() == names


def test_blocks_lost_in_the_store_are_told(store, build, local):
    """Whoever removes them meanwhile costs their rows, and nothing more."""
    interrupt(build)
    store.lose(find_block(store))
    with pytest.raises(CorruptCacheError, match=r"build-cache` again"):
        build()

    result = build()

    assert result.num_computed == TRAIN_VIEWS
    assert_equal_datasets(read_datasets(result.cache.path), local)


def test_blocks_that_may_not_be_removed_do_not_fail_a_build(
    store, build, local, capsys
):
    """The cache is finished: what stays is told, with its place."""
    store.fail("POST", "403 Forbidden", "AccessDenied", but=1)
    store.fail("DELETE", "403 Forbidden", "AccessDenied", but=1)

    result = build(console=Console())

    assert_equal_datasets(read_datasets(result.cache.path), local)
    assert "its blocks stay: s3://shelf/blocks/" in capsys.readouterr().err


def test_the_command_says_in_one_line_what_is_wrong(
    store, run_command, tiny_request
):
    """No traceback, and no word of the secret."""
    store.fail("GET", "403 Forbidden", "InvalidAccessKeyId")

    finished = run_command(
        "build-cache",
        *("--dataset", tiny_request.source.dataset),
        *("--backbone", tiny_request.backbone.handle),
        *("--blocks", PLACE),
        env={**store.environment, "AWS_SECRET_ACCESS_KEY": "very-secret"},
    )

    assert finished.returncode == 1
    (line,) = [x for x in finished.stderr.splitlines() if "error" in x.lower()]
    assert line.startswith("error: s3://shelf/blocks cannot be listed: access")
    assert "very-secret" not in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
