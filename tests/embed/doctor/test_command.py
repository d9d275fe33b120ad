"""Tests for `embed.doctor.command`."""

import hashlib
import json

import pytest

CHECK_KEYS = {"name", "ok", "level", "detail", "advice"}


@pytest.fixture(name="options")
def _options(tiny_request):
    """What is asked for: the drawn pictures and the tiny backbone."""
    return (
        *("doctor", "--image-size", "8", "--views", "flip"),
        *("--dataset", tiny_request.source.dataset),
        *("--backbone", tiny_request.backbone.handle),
    )


@pytest.fixture(name="hub_dir")
def _hub_dir(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    return folder


def keep_half_a_module(hub_dir, address):
    """Puts there what a fetch that broke off leaves of a module."""
    name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    (hub_dir / name).mkdir()
    (hub_dir / name / "saved_model.pb").touch()


def read(process):
    """Returns the payload, and its checks by name."""
    payload = json.loads(process.stdout)
    checks = {check["name"]: check for check in payload["checks"]}
    for check in checks.values():
        assert check.keys() == CHECK_KEYS
        assert check["ok"] == (check["level"] == "ok") == (not check["advice"])
    return payload, checks


def test_a_build_that_would_work(run_command, options, hub_dir, tmp_path):
    """Exit code 0, an estimate, and nothing is left behind."""
    env = {"TFHUB_CACHE_DIR": str(hub_dir)}
    process = run_command(*options, "--json", env=env)

    assert process.returncode == 0, process.stderr
    payload, checks = read(process)
    assert payload["ok"] is True
    assert "error" not in {check["level"] for check in checks.values()}
    assert checks["dataset"]["detail"] == "30 train and 12 test images, here"
    assert checks["network"]["detail"].startswith("not needed")
    assert payload["estimate"]["num_images"] == 42
    assert payload["estimate"]["num_views"] == 2
    assert payload["estimate"]["feature_dim"] == 4
    assert payload["estimate"]["seconds"] > 0
    assert not (tmp_path / "artifacts").exists()


def test_the_options_of_a_build_are_taken(run_command, options, tmp_path):
    """Fewer images, an engine, halves and a place of its own are judged."""
    process = run_command(
        *options,
        *("--limit", "10", "--engine", "tensorflow", "--dtype", "float16"),
        *("--precision", "bfloat16", "--cache", tmp_path / "mine" / "a.h5"),
        "--json",
    )

    assert process.returncode == 0, process.stderr
    payload, checks = read(process)
    assert checks["dataset"]["detail"] == "10 train and 10 test images, here"
    assert checks["engine"]["detail"] == "tensorflow, as `--engine` says"
    assert f"{tmp_path / 'mine'} can" in checks["artifacts folder"]["detail"]
    assert payload["estimate"]["cache_bytes"] == 20 * (2 * 4 * 2 + 100)
    assert not (tmp_path / "mine").exists()


def test_a_broken_installation(
    make_site, run_python, options, hub_dir, closed_address, tmp_path
):
    """It starts all the same, and every planted fault is found at once."""
    folder = make_site(
        without="pkg_resources|tensorboard.*",
        versions={"numpy": "1.26.4", "setuptools": "82.0.0"},
    )
    keep_half_a_module(hub_dir, "https://example.com/another/1")
    caches_dir = tmp_path / "artifacts" / "caches"
    caches_dir.mkdir(parents=True)
    (caches_dir / "a-0123.h5.lock").touch()

    process = run_python(
        folder,
        *("-m", "embed", *options, "--json"),
        *("--backbone", f"hub:{closed_address}"),
        env={"TFHUB_CACHE_DIR": str(hub_dir)},
    )

    assert process.returncode == 1, process.stderr
    payload, checks = read(process)
    levels = {name: check["level"] for name, check in checks.items()}
    assert payload["ok"] is False
    assert levels["numpy"] == levels["setuptools"] == "error"
    assert levels["tensorboard"] == levels["network"] == "error"
    assert levels["hub cache"] == levels["builds"] == "warning"
    assert levels["python"] == levels["artifacts folder"] == "ok"
    assert "tensorflow_hub: ModuleNotFoundError" in checks["imports"]["detail"]
    line = process.stderr.splitlines()[-1]
    assert line.startswith("error: A build would fail: numpy, setuptools, ")


def test_what_a_build_would_refuse(
    run_command, options, hub_dir, closed_address, tmp_path
):
    """For people: misspelt names, folders, and a module that is not whole."""
    keep_half_a_module(hub_dir, closed_address)
    (tmp_path / "file").touch()

    process = run_command(
        *options,
        *("--backbone", f"hub:{closed_address}"),
        *("--artifacts", tmp_path / "file" / "artifacts"),
        *("--dataset", "folder:nowhere", "--views", "upside-down"),
        env={"TFHUB_CACHE_DIR": str(hub_dir), "COLUMNS": "100"},
    )

    assert process.returncode == 1
    lines = process.stdout.splitlines()
    bad = [line.split("  ")[0] for line in lines if line.startswith("✗")]
    assert bad == [
        *("✗ dataset", "✗ views", "✗ backbone", "✗ artifacts folder"),
        "✗ hub cache",
    ]
    assert "→ Choose a folder that can be written with" in process.stdout
    assert f"`rm -rf {hub_dir}/" in process.stdout
