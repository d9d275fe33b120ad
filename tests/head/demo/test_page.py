"""Tests for `head.demo.page` and its command, by a browser where there is one.

The command runs in a process of its own, as gradio starts threads.
"""

import contextlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from embed.errors import CorruptCacheError
from embed.errors import StaleCacheError
from head import cli
from head.demo import page as demo_page
from head.demo.page import DemoError
from head.demo.page import require_gradio
from head.exporting.export import SAVED_MODEL
from head.predicting import exported
from tests.conftest import COMMAND_SECONDS
from tests.conftest import ROOT
from tests.headless_chromium import find_chromium
from tests.headless_chromium import open_page

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="needs the extra app"
)
INPUT = "#picture input[type=file]"
WIDTHS = (400, 1400)


@contextlib.contextmanager
def start_demo(export, folder, *options):
    """Yields the process and what it printed, and ends it."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "head", "demo", "--json"),
            *("--artifacts", export.artifacts_dir, *options),
        ],
        cwd=ROOT,
        env={**demo_page.os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(name="folder")
def _folder(tmp_path):
    """Where the command puts what it needs for a while."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_a_browser_gets_an_answer_to_an_uploaded_picture(
    tiny_export, folder, tmp_path
):
    """Class, probability and pictures that are alike; nothing goes out."""
    best = tiny_export.expected()[0]
    names = [n.replace("_", " ") for n in tiny_export.cache.spec.class_names]
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear all,")

    with (
        start_demo(tiny_export, folder, "--neighbours", "2") as (demo, said),
        open_page(tmp_path / "profile") as page,
    ):
        assert said["model"] == str(tiny_export.model)
        for width in WIDTHS:
            page.open(said["url"], width=width)
            page.wait_for(f"document.querySelector('{INPUT}')")
            page.choose_file(INPUT, tiny_export.test_paths[0])
            shown = "document.querySelector('#classes').innerText"
            page.wait_for(f"{shown}.includes('%')")
            page.wait_for(
                "[...document.querySelectorAll('#similar .grid-wrap img')]"
                ".filter(i => i.naturalWidth > 0).length == 2"
            )

            lines = page.evaluate(shown).splitlines()
            assert lines[1] == names[best.argmax()]
            assert f"{100 * best.max():.0f}%" in lines
            captions = page.evaluate(
                "[...document.querySelectorAll('#similar .caption-label')]"
                ".map(c => c.innerText).join('|')"
            ).split("|")
            assert len(captions) == 2
            assert all(c.rpartition(", ")[0] in names for c in captions)
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth") <= width
            ours = (said["url"], "data:", "blob:")
            assert [u for u in page.requests if not u.startswith(ours)] == []
            kinds = [complaint.get("type") for complaint in page.complaints]
            assert "error" not in kinds

        page.open(said["url"], width=WIDTHS[0])
        page.wait_for(f"document.querySelector('{INPUT}')")
        page.choose_file(INPUT, letter)
        page.wait_for(
            "document.body.innerText.includes('it is text, no picture')"
        )

        demo.send_signal(signal.SIGINT)
        assert demo.wait(COMMAND_SECONDS) == 0
    assert list(folder.glob("headstart-demo-*")) == []


@pytest.mark.slow
def test_it_is_there_for_this_machine_alone(tiny_export, folder):
    """It answers on loopback; a taken port is an error that says so.

    The model is a SavedModel, which finds no similar pictures.
    """
    model = str(tiny_export.model / SAVED_MODEL)
    with start_demo(tiny_export, folder, "--model", model) as (demo, said):
        assert said["model"] == model
        assert said["url"].startswith("http://127.0.0.1:")
        with urllib.request.urlopen(said["url"]) as answer:  # noqa: S310
            assert answer.status == 200
        port = said["url"].rstrip("/").rpartition(":")[2]
        with socket.socket() as taken:
            assert taken.connect_ex(("127.0.0.1", int(port))) == 0
        again = subprocess.run(
            [
                *(sys.executable, "-m", "head", "demo", "--port", port),
                *("--artifacts", tiny_export.artifacts_dir),
                *("--neighbours", "0"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(COMMAND_SECONDS) == 0
        assert "No similar pictures are shown" in demo.stderr.read()

    assert (again.returncode, again.stdout) == (1, "")
    assert "Choose another with `--port N`" in again.stderr
    assert list(folder.glob("headstart-demo-*")) == []


@pytest.mark.parametrize("error", [StaleCacheError, CorruptCacheError])
def test_without_a_fit_cache_it_shows_no_other_pictures(
    tiny_export, monkeypatch, capfd, error
):
    """The model answers all the same; a cache that was named must fit."""

    def refuse(*_):
        raise error("It is of other pictures.")

    monkeypatch.setattr(exported.ExportedModel, "find_cache", refuse)
    monkeypatch.setattr(
        demo_page, "serve", lambda *_, **__: contextlib.nullcontext("http://x")
    )
    monkeypatch.setattr(demo_page, "wait_for_end", lambda: None)
    words = ["demo", "--artifacts", str(tiny_export.artifacts_dir)]

    assert not cli.app(words, standalone_mode=False)
    said = capfd.readouterr()
    assert cli.app([*words, "--cache", "a.h5"], standalone_mode=False) == 1

    assert "No other pictures are shown: It is of other pictures." in said.err
    assert "http://x" in said.out


def test_without_gradio_it_says_what_to_install(monkeypatch):
    """It is an extra, which most do not need."""
    monkeypatch.setattr(
        demo_page.importlib.util, "find_spec", lambda name: None
    )

    with pytest.raises(DemoError, match=r"pip install 'headstart\[app\]'"):
        require_gradio()
