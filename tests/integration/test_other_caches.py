"""What was made on one cache is refused on another, by what differs."""

import shutil

import pytest

from embed.console import Console
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from head import cli as head_cli
from head.refit import train_run
from head.spec import RECIPES
from tune import cli as tune_cli
from tune.search import run_search

# By field another value, and how an error names the old one and the new.
CHANGES = {
    "dataset": ("tfds:other", "dataset=tfds:tiny_set", "dataset=tfds:other"),
    "dataset_version": (
        "1.0.1",
        "dataset_version=1.0.0",
        "dataset_version=1.0.1",
    ),
    "class_names": (
        ("cat", "dog", "eel"),
        "class_names=['cat', 'dog', 'été']",
        "class_names=['cat', 'dog', 'eel']",
    ),
    "splits": (
        {
            "train": SplitSpec(num_images=60, digest="c" * 64),
            "test": SplitSpec(num_images=30, digest="d" * 64),
        },
        "splits.test.digest=",
        f"splits.test.digest={'d' * 64}",
    ),
    "backbone": ("keras:Other", "backbone=keras:Tiny", "backbone=keras:Other"),
    "weights_digest": (
        "x" * 64,
        f"weights_digest={'w' * 64}",
        f"weights_digest={'x' * 64}",
    ),
    "image_size": ((8, 9), "image_size=[8, 8]", "image_size=[8, 9]"),
    "pixel_range": (
        (-1.0, 1.0),
        "pixel_range=[0.0, 1.0]",
        "pixel_range=[-1.0, 1.0]",
    ),
    "resize": ("bicubic", "resize=bilinear", "resize=bicubic"),
    "views": (
        ("flip", "plain"),
        "views=['plain', 'flip']",
        "views=['flip', 'plain']",
    ),
    "precision": ("bfloat16", "precision=float32", "precision=bfloat16"),
    "dtype": ("float16", "dtype=float32", "dtype=float16"),
}
# A cache of another schema is not opened at all.
NOT_COMPARED = {"schema_version"}

# What is given another cache, and the command that the error is to name.
TRAIN, SEARCH = "python -m head train", "python -m tune search"
REFUSED = {
    "train with a spec": (head_cli, "train --spec {best}", SEARCH),
    "evaluate a run": (head_cli, "evaluate --run {run}", TRAIN),
    "evaluate the newest": (head_cli, "evaluate", TRAIN),
    "export a run": (head_cli, "export-full-model --run {run}", TRAIN),
    "export another seed": (
        head_cli,
        "export-full-model --run {run} --seed 9",
        TRAIN,
    ),
    "export the newest": (head_cli, "export-full-model", TRAIN),
    "show a search": (tune_cli, "results {search}", SEARCH),
    "show the newest": (tune_cli, "results", SEARCH),
}


@pytest.fixture(name="made", scope="module")
def _made(draw_cache, tmp_path_factory):
    """A search, its winner copied away, and a later run, all on one cache."""
    artifacts_dir = tmp_path_factory.mktemp("made") / "artifacts"
    (artifacts_dir / "caches").mkdir(parents=True)
    cache = draw_cache(artifacts_dir / "caches" / "tiny.h5")
    search = run_search(
        cache,
        oracle="random",
        max_trials=1,
        max_epochs=1,
        seed=0,
        artifacts_dir=artifacts_dir,
        is_overwrite=False,
        console=Console(is_quiet=True),
    )
    best = shutil.copy(search.best_path, artifacts_dir.with_name("copied.json"))
    spec = RECIPES["reference"].model_copy(update={"epochs": 1})
    run = train_run(cache, spec, seed=0, artifacts_dir=artifacts_dir)
    return {
        "artifacts": artifacts_dir,
        "best": best,
        "run": run.directory,
        "search": search.path,
    }


@pytest.fixture(name="other", scope="module", params=CHANGES)
def _other(request, draw_cache, tmp_path_factory):
    """The name of a field, and a cache in which it alone differs."""
    folder = tmp_path_factory.mktemp("other")
    changed = {request.param: CHANGES[request.param][0]}
    return request.param, draw_cache(folder / "other.h5", **changed)


def test_every_field_has_a_change_here():
    """A new field cannot be forgotten by the tests below."""
    assert set(CHANGES) | NOT_COMPARED == set(CacheSpec.model_fields)


@pytest.mark.parametrize("case", REFUSED)
def test_another_cache_is_refused_by_field(made, other, case, capfd):
    """One line has the field, both values and the command for that cache."""
    name, cache = other
    _, old, new = CHANGES[name]
    cli, words, command = REFUSED[case]
    options = f"--artifacts {made['artifacts']} --cache {cache.path} -q"

    with pytest.raises(SystemExit) as ended:
        cli.app([*words.format(**made).split(), *options.split()])

    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith("error: ")
    expected, received = line.split("Expected: ")[1].split(" Received: ")
    assert old in expected
    assert new in received
    assert f"`{command} --cache {cache.path}`" in received
