"""Without a network: one line that says the ways out, and nothing half-made."""

import socket
import threading
import time

import pytest

MAX_SECONDS = 60
MODULE = "tfhub.dev/google/imagenet/mobilenet_v2_140_224/feature_vector/4"
WEIGHTS = "keras:MobileNetV2"
DATASET = "oxford_iiit_pet"
ADVICE = ("--data-dir", "TFHUB_CACHE_DIR", "SavedModel", "--preset digits")
TRUSTED = {".h5", ".pb", ".index", ".lock", ".tmp", ".incomplete", ".building"}


@pytest.fixture(name="environment")
def _environment(tmp_path):
    """Variables of a home that is new, behind a proxy that is not there."""
    home = tmp_path / "home"
    home.mkdir()
    nobody = "http://127.0.0.1:9"  # The discard port; nobody listens.
    proxies = {
        name: nobody
        for scheme in ("http", "https", "all")
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    }
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "KERAS_HOME": str(home / "keras"),
        "TFDS_DATA_DIR": str(home / "tfds"),
        "TFHUB_CACHE_DIR": "",
        "no_proxy": "",
        "NO_PROXY": "",
        **proxies,
    }


@pytest.fixture(name="silent_proxy")
def _silent_proxy():
    """The address of a proxy that takes every connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            while True:
                connection, _ = server.accept()
                if is_over.is_set():
                    connection.close()
                    return
                kept.append(connection)

        is_over = threading.Event()
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        is_over.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        for connection in kept:
            connection.close()


@pytest.fixture(name="fail")
def _fail(run_command, tmp_path):
    """Runs `build-cache` as it must fail; returns its one error line."""

    def fail(*options, env):
        began = time.monotonic()
        process = run_command("build-cache", *options, env=env)
        seconds = time.monotonic() - began
        lines = process.stderr.splitlines()
        assert process.returncode == 1, process.stderr
        assert process.stdout == ""
        assert seconds < MAX_SECONDS
        assert [line for line in lines if "Traceback" in line] == []
        (error,) = [line for line in lines if line.startswith("error:")]
        assert lines[-1] == error
        assert [way for way in ADVICE if way not in error] == []
        homes = tmp_path / "home", tmp_path / "artifacts"
        left = [path for home in homes for path in home.rglob("*")]
        assert [path for path in left if path.suffix in TRUSTED] == []
        return error

    return fail


def test_the_bare_command_says_the_ways_out(fail, environment):
    """The first command of the README, on a machine without a network."""
    error = fail(env=environment)

    assert MODULE in error


def test_a_silent_network_is_given_up(fail, environment, silent_proxy):
    """A network that swallows everything ends as fast as none."""
    names = [name for name in environment if name.lower().endswith("_proxy")]
    proxies = dict.fromkeys(names, silent_proxy)
    proxies |= {"no_proxy": "", "NO_PROXY": ""}

    error = fail(env={**environment, **proxies})

    assert MODULE in error


def test_a_dataset_that_is_not_here_is_named(
    fail, environment, tiny_module_dir
):
    """The backbone is here, the pictures are not."""
    error = fail(
        "--dataset",
        f"tfds:{DATASET}",
        "--backbone",
        f"hub:{tiny_module_dir}",
        "--image-size",
        "8",
        env=environment,
    )

    assert DATASET in error


def test_weights_that_are_not_here_are_named(fail, environment, picture_folder):
    """The pictures are here, ImageNet weights of Keras are not."""
    error = fail(
        "--dataset",
        f"folder:{picture_folder}",
        "--backbone",
        WEIGHTS,
        "--weights",
        "imagenet",
        env=environment,
    )

    assert WEIGHTS in error
