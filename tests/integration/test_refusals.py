"""What a user can get wrong gives exit 1 and one line that says what to do."""

import shutil

import pytest

from head.spec import HeadSpec


@pytest.fixture(name="options")
def _options(picture_folder, tiny_module_dir):
    """A build that works; a test spoils one part of it."""
    return {
        "--dataset": f"folder:{picture_folder}",
        "--backbone": f"hub:{tiny_module_dir}",
        "--image-size": "8",
        "--engine": "tensorflow",
    }


@pytest.fixture(name="refuse")
def _refuse(run_command):
    """Runs a command that is to fail; returns its one error line."""

    def refuse(*arguments, package="embed"):
        process = run_command(*arguments, "-q", package=package)
        lines = process.stderr.strip().splitlines()
        assert process.returncode == 1, process.stderr
        assert process.stdout == ""
        assert len(lines) == 1, process.stderr
        assert lines[0].startswith("error: ")
        return lines[0]

    return refuse


def flatten(options):
    """Returns `{"--a": "b"}` as `["--a", "b"]`."""
    return [part for pair in options.items() for part in pair]


def build(options, **changes):
    """Returns the arguments of a build with some options changed."""
    changed = {f"--{k.replace('_', '-')}": v for k, v in changes.items()}
    return ["build-cache", *flatten({**options, **changed})]


def test_unknown_dataset(refuse, options):
    """The name is repeated, and where else pictures may come from."""
    line = refuse(*build(options, dataset="tfds:no_such_dataset"))

    assert "no_such_dataset" in line
    assert "`--dataset folder:DIR`" in line


def test_empty_folder(refuse, options, tmp_path):
    """An empty folder is told what should be in it."""
    (tmp_path / "empty").mkdir()

    line = refuse(*build(options, dataset=f"folder:{tmp_path / 'empty'}"))

    assert "train/<class>/" in line


def test_a_single_class(refuse, options, picture_folder):
    """One class makes no classification problem."""
    for split in ("train", "test"):
        for name in ("dog", "été"):
            shutil.rmtree(picture_folder / split / name)

    line = refuse(*build(options))

    assert "single class" in line
    assert "Add pictures of another class" in line


def test_a_text_file_named_jpg(refuse, options, picture_folder):
    """A picture that is none is named, with the way to leave it out."""
    (picture_folder / "train" / "cat" / "notes.jpg").write_text("no picture")

    line = refuse(*build(options))

    assert "cat/notes.jpg" in line
    assert "`--on-error skip`" in line


def test_weights_of_another_shape(refuse, options, tmp_path):
    """Weights of another architecture are refused by name."""
    import keras

    path = tmp_path / "other.weights.h5"
    keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]
    ).save_weights(path)

    line = refuse(
        *build(
            options,
            backbone="keras:MobileNetV2?alpha=0.35",
            weights=str(path),
            image_size="32",
        )
    )

    assert "other.weights.h5" in line
    assert "`--weights`" in line


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("embed", "info"),
        ("tune", "search"),
        ("head", "train"),
        ("head", "evaluate"),
        ("head", "export-full-model"),
    ],
)
def test_no_cache_or_run(refuse, package, command):
    """In an empty folder every command names the one that comes before."""
    line = refuse(command, package=package)

    assert "`python -m " in line


def test_a_stale_cache(refuse, options, tiny_cache):
    """Another build at the path of a cache names the field and both values."""
    line = refuse(*build(options, cache=str(tiny_cache.path), dtype="float16"))

    assert "Expected: dtype=float16. Received: dtype=float32." in line
    assert "--overwrite" in line


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_cache(refuse, tiny_cache, damage):
    """A cache that is not whole is named, with the command to build it."""
    data = tiny_cache.path.read_bytes()
    tiny_cache.path.write_bytes(
        {"truncated": data[: len(data) // 2], "empty": b"", "foreign": b"x"}[
            damage
        ]
    )

    line = refuse("train", "--cache", tiny_cache.path, package="head")

    assert tiny_cache.path.name in line
    assert "build-cache --overwrite" in line


def test_an_unwritable_artifacts_folder(refuse, options, tmp_path):
    """A file where the folder should be is told before anything is computed."""
    (tmp_path / "taken").write_text("a file")

    line = refuse(*build(options, artifacts=str(tmp_path / "taken")))

    assert "`--artifacts DIR`" in line


def test_a_spec_of_another_cache(refuse, tiny_cache, tmp_path):
    """A winner of another cache is not trained on this one."""
    path = tmp_path / "best.json"
    path.write_text(HeadSpec(fingerprint="0" * 16).to_json())

    line = refuse(
        *("train", "--spec", path, "--cache", tiny_cache.path), package="head"
    )

    assert tiny_cache.fingerprint in line
    assert "python -m tune search" in line
