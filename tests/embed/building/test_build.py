"""Tests for `embed.building.build`."""

import re

import numpy as np
import pytest
from PIL import Image

from embed.backbones import BackboneRequest
from embed.building.agreement import TOLERANCES
from embed.building.blocks import read_block
from embed.building.clock import STAGES
from embed.building.folder import build_dir_of
from embed.building.folder import read_spec
from embed.building.journal import read_journal
from embed.cache import open_cache
from embed.console import Console
from embed.engines import ENGINES
from embed.engines import list_candidates
from embed.engines.choice import measure_rate
from embed.errors import BadImagesError
from embed.errors import EngineError
from embed.images import digest_content
from embed.sources import SourceRequest
from embed.splits import Selection
from tests.conftest import save_module
from tests.conftest import tiny_kernel
from tests.drawn_caches import files_in
from tests.noise_pictures import write_noise
from tests.stopping_console import StoppingConsole


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "cache.h5"


def test_a_build_that_is_cut_off_says_what_it_is(build, path):
    """Its folder has the spec, the journal and whole blocks alone."""
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, console=StoppingConsole(80))

    build_dir = build_dir_of(path)
    assert files_in(build_dir) == [
        "journal.jsonl",
        "spec.json",
        "token",
        "train",
    ]
    assert files_in(build_dir / "train") == ["00000000.npz"]
    assert read_spec(build_dir).views == ("plain", "flip")
    assert not path.with_name("cache.h5.lock").exists()


def test_an_engine_that_is_wrong_leaves_no_block(build, path, monkeypatch):
    """It is checked on the first pictures, before a row is kept."""
    monkeypatch.setitem(TOLERANCES, "float32", -1.0)

    with pytest.raises(EngineError, match="another `--engine`"):
        build(cache_path=path)

    assert files_in(build_dir_of(path)) == ["spec.json", "token"]


def test_features_too_large_for_their_dtype_keep_what_is_finished(
    build, path, tmp_path
):
    """No infinity is stored; the blocks before are, and the advice helps."""
    save_module(1e6 * tiny_kernel(), tmp_path / "large")
    pictures = write_noise(tmp_path / "noise", num_train=150)
    black = np.zeros((8, 8, 3), np.uint8)
    *others, last = sorted(pictures.glob("train/*/*"))
    for picture_path in others:
        Image.fromarray(black).save(picture_path)
    Image.fromarray(black + 255).save(last)
    fields = {
        "source": SourceRequest(dataset=f"folder:{pictures}"),
        "backbone": BackboneRequest(
            handle=f"hub:{tmp_path / 'large'}", image_size=(8, 8)
        ),
    }

    with pytest.raises(
        EngineError,
        match=r"1 pictures in block 1 of train .*float16.*kept.*65,504",
    ):
        build(cache_path=path, dtype="float16", **fields)

    assert files_in(build_dir_of(path) / "train") == ["00000000.npz"]
    exact = build(cache_path=tmp_path / "exact.h5", **fields).cache
    assert exact.take(Selection("train")).features[-1].max() > 65_504


def test_a_block_holds_each_picture_once(build, path, picture_folder):
    """A picture that was replaced takes the place of what it was."""
    bad, other, *_ = sorted((picture_folder / "train" / "cat").iterdir())
    bad.write_bytes(b"")
    block_path = build_dir_of(path) / "train" / "00000000.npz"
    with pytest.raises(BadImagesError):
        build(cache_path=path)
    before = read_block(block_path)
    other.write_bytes((picture_folder / "test/dog/00.jpg").read_bytes())
    with pytest.raises(BadImagesError):
        build(cache_path=path)

    after = read_block(block_path)

    name = f"cat/{other.name}".encode()
    ids = after.image_ids.tolist()
    assert sorted(ids) == sorted(set(before.image_ids.tolist()))
    digest = after.content_digests[ids.index(name)].tobytes()
    assert digest == digest_content(other.read_bytes())


def test_seconds_and_counts_are_of_this_call(build, path):
    """What an earlier call did is in the attempts, not in the result."""
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, console=StoppingConsole(80))

    result = build(cache_path=path)

    views = [a.num_views for a in result.cache.provenance.attempts]
    assert (result.num_computed, result.num_decoded) == (24, 12)
    assert views == [84, 24]
    assert set(result.seconds) == {*STAGES, "pass", "total"}
    assert min(result.seconds["forward"], result.seconds["write"]) > 0
    rate = result.num_computed / result.seconds["pass"]
    assert result.views_per_second == rate


def test_a_cache_that_takes_all_over_names_who_computed_it(build):
    """Without a view of its own its engine is its parent's."""
    build()

    plain = open_cache(build(views=("plain",)).cache.path).provenance

    assert plain.attempts == ()
    assert plain.engine == "tensorflow"
    assert len(plain.parents) == 1


@pytest.fixture(name="candidates")
def _candidates():
    """The engines that `auto` tries here, in order; more than one."""
    names = list_candidates("auto", "float32")
    if len(names) < 2:
        pytest.skip(f"no engine but {names[0]} here")
    return names


def test_auto_takes_the_first_for_a_short_pass(build, candidates, capsys):
    """It is named in the cache, and told with what was not tried."""
    cache = build(engine="auto", console=Console()).cache

    assert cache.provenance.engine == candidates[0]
    said = capsys.readouterr().err
    assert f"Engine: {candidates[0]}. Views/s in a short trial: " in said
    assert f"{', '.join(candidates[1:])} not tried" in said
    assert f" on {candidates[0]}.\n" in said


def test_auto_tries_all_for_a_long_pass(build, candidates, monkeypatch, capsys):
    """What was the fastest is named in the cache and in its journal."""
    monkeypatch.setattr("embed.engines.choice.WORTH_SECONDS", 0)
    monkeypatch.setattr(
        "embed.engines.choice.measure_rate",
        lambda engine, images, seconds: measure_rate(engine, images, 0.01),
    )

    cache = build(engine="auto", console=Console()).cache

    said = capsys.readouterr().err
    chosen, tried = re.search(
        r"Engine: (\w+)\. .*trial: (.*)\.\n", said
    ).groups()
    rates = {
        name: int(rate.replace(",", ""))
        for name, rate in re.findall(r"(\w+) ([\d,]+)(?:, |$)", tried)
    }
    assert tuple(rates) == candidates
    assert rates[chosen] == max(rates.values())
    assert cache.provenance.engine == chosen
    assert [a.engine for a in cache.provenance.attempts] == [chosen]


def test_an_engine_that_is_named_is_not_tried(build, capsys):
    """Who names one wants it."""
    build(console=Console())

    said = capsys.readouterr().err
    assert "trial" not in said
    assert " on tensorflow.\n" in said


def test_a_build_that_goes_on_stays_with_its_engine(
    build, path, candidates, capsys
):
    """All rows are of one, though another would be tried first by now."""
    last = candidates[-1]
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, engine=last, console=StoppingConsole(80))

    cache = build(cache_path=path, engine="auto", console=Console()).cache

    attempts = cache.provenance.attempts
    assert [attempt.engine for attempt in attempts] == [last, last]
    assert cache.provenance.engine == last
    assert "trial" not in capsys.readouterr().err


def test_a_build_goes_on_with_the_engine_that_is_named(build, path, candidates):
    """The way out where the one of before does not work any more."""
    first, *_, last = candidates
    with pytest.raises(KeyboardInterrupt):
        build(cache_path=path, engine=last, console=StoppingConsole(80))

    cache = build(cache_path=path, engine=first).cache

    attempts = cache.provenance.attempts
    assert [attempt.engine for attempt in attempts] == [last, first]
    assert cache.provenance.engine == first


def test_a_build_goes_on_where_its_engine_is_not_installed(
    build, path, candidates, monkeypatch
):
    """Another is chosen then, as for a new build."""
    with pytest.raises(KeyboardInterrupt):
        build(
            cache_path=path, engine=candidates[0], console=StoppingConsole(80)
        )
    monkeypatch.setitem(ENGINES, candidates[0], "no_such_package")

    cache = build(cache_path=path, engine="auto").cache

    attempts = cache.provenance.attempts
    assert [a.engine for a in attempts] == [candidates[0], candidates[1]]


def test_the_end_of_the_pass_tells_how_its_time_divides(build, capsys):
    """By stage, in shares of the time of all threads."""
    build(console=Console())

    said = capsys.readouterr().err
    (line,) = re.findall(r"Embedded in \d+ s\. The time of all .*", said)
    shares = dict(re.findall(r"(\w+) ([\d.]+)%", line))
    assert tuple(shares) == STAGES
    assert sum(map(float, shares.values())) == pytest.approx(100, abs=0.25)


def test_bad_pictures_alone_need_no_engine(
    build, path, picture_folder, monkeypatch
):
    """None is converted for nothing; what is wrong is told all the same."""
    for picture in picture_folder.glob("*/*/*"):
        picture.write_bytes(b"")

    def fail(*arguments):
        raise AssertionError("An engine for nothing.")

    monkeypatch.setattr("embed.engines.choice.create_engine", fail)

    with pytest.raises(BadImagesError, match="42 pictures"):
        build(cache_path=path, engine="auto")

    (attempt,) = read_journal(build_dir_of(path))
    assert attempt.num_views == 84


def test_who_computed_is_named_where_all_that_is_new_is_bad(
    build, picture_folder
):
    """A bad picture that is skipped makes no engine of the rows unknown."""
    first = build().cache
    bad = picture_folder / "train" / "cat" / "new.png"
    bad.write_bytes(b"")

    cache = build(engine="auto", on_error="skip").cache

    assert [s.image_id for s in cache.provenance.skipped] == ["cat/new.png"]
    assert cache.provenance.parents == (first.path.name,)
    assert cache.provenance.engine == "tensorflow"


def test_bad_pictures_do_not_make_a_build_forget_its_engine(
    build, path, picture_folder, candidates
):
    """An attempt that ran none is none that says which to stay with."""
    last = candidates[-1]
    bad = sorted((picture_folder / "test").glob("*/*"))
    good = [picture.read_bytes() for picture in bad]
    for picture in bad:
        picture.write_bytes(b"")
    with pytest.raises(BadImagesError):  # The training rows are done.
        build(cache_path=path, engine=last)
    with pytest.raises(BadImagesError):
        build(cache_path=path, engine="auto")
    for picture, content in zip(bad, good, strict=True):
        picture.write_bytes(content)

    cache = build(cache_path=path, engine="auto").cache

    assert cache.provenance.engine == last
    assert cache.provenance.attempts[-1].engine == last
