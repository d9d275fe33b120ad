"""Modules by address, from a server on this machine that can misbehave."""

import contextlib
import gc
import gzip
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from embed import network
from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.fetch import fetch
from embed.errors import BackboneError

# tensorflow_hub 0.16.1 closes no connection.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ROOT = Path(__file__).parents[3]
SIZE = (8, 8)  # Of the tiny module in conftest.py.
SHORT_SILENCE_SECONDS = 0.5
BOUND_SECONDS = 10  # For each failure; the hub's own would be for ever.
KILL_SECONDS = 60  # Until a fetching process must have shown its lock.
ADVICE = ("--data-dir", "TFHUB_CACHE_DIR", "hub:DIR", "--preset digits")
FORM = "tf-hub-format=compressed"


class Answer:
    """What the server does with the next requests.

    Args:
        body: Sent, as much of it as `num_bytes` says.
        status: HTTP status.
        num_bytes: Number of bytes of the body to be sent.
        is_stalled: Whether the rest never comes, and the connection stays.
        length: What the header promises; default: no promise.
    """

    def __init__(
        self,
        body=b"",
        *,
        status=200,
        num_bytes=None,
        is_stalled=False,
        length=None,
    ):
        self.body, self.status = body[:num_bytes], status
        self.is_stalled, self.length = is_stalled, length


class Server(http.server.ThreadingHTTPServer):
    """Gives the answer it holds to whoever asks, and notes the paths."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = Answer(status=404)
        self.is_over = threading.Event()
        self.paths = []
        self.address = f"http://127.0.0.1:{self.server_port}/module/4"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        """Answers as the server was told."""
        answer = self.server.answer
        self.server.paths.append(self.path)
        if answer.status:
            self.send_response(answer.status)
            if answer.length is not None:
                self.send_header("Content-Length", str(answer.length))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()
        if answer.is_stalled:
            self.server.is_over.wait(KILL_SECONDS)

    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture(name="server")
def _server(monkeypatch):
    """A server on this machine, reached past any proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(network, "SILENCE_SECONDS", SHORT_SILENCE_SECONDS)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.is_over.set()
        server.shutdown()
        thread.join()
    gc.collect()  # Here, where what the hub left open is excused.


@pytest.fixture(name="cache_dir")
def _cache_dir(tmp_path, monkeypatch):
    """An empty TFHUB_CACHE_DIR."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture(name="archive", scope="session")
def _archive(tiny_module_dir):
    """The tiny module as a tar archive, not compressed."""
    return pack(tiny_module_dir)


def pack(directory):
    """Returns a tar archive of the files in a directory, graph first."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(directory.rglob("*")):
            tar.add(path, path.relative_to(directory), recursive=False)
    return archive.getvalue()


def pack_text():
    """Returns an archive of one text file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("readme.txt")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    return archive.getvalue()


def cut_between_files(archive):
    """Returns an archive that ends in good order after its first files."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        index = tar.getmember("variables/variables.index")
    return archive[: index.offset]


def key_of(address):
    """Returns what the hub calls a module's folder."""
    return hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()


BAD_ANSWERS = {
    "forbidden": lambda archive: Answer(status=403),
    "not there": lambda archive: Answer(b"no such module", status=404),
    "broken server": lambda archive: Answer(status=500),
    "empty": lambda archive: Answer(),
    "a page": lambda archive: Answer(b"<!doctype html><p>Log in." * 99),
    "another archive": lambda archive: Answer(pack_text()),
    "truncated": lambda archive: Answer(
        gzip.compress(archive), num_bytes=len(gzip.compress(archive)) // 2
    ),
    "shorter than promised": lambda archive: Answer(
        gzip.compress(archive), num_bytes=900, length=len(archive)
    ),
    "truncated between two files": lambda archive: Answer(
        cut_between_files(archive)
    ),
    "truncated and compressed again": lambda archive: Answer(
        gzip.compress(cut_between_files(archive))
    ),
    "silent": lambda archive: Answer(status=None, is_stalled=True),
    "stalled": lambda archive: Answer(
        gzip.compress(archive), num_bytes=900, is_stalled=True
    ),
}


def test_a_module_is_fetched_once(server, cache_dir, archive):
    """The second time nobody is asked, and the address is its name."""
    server.answer = Answer(gzip.compress(archive))

    backbones = [
        load_backbone(
            BackboneRequest(handle=f"hub:{server.address}", image_size=SIZE)
        )
        for _ in range(2)
    ]

    assert [b.feature_dim for b in backbones] == [4, 4]
    assert {b.name for b in backbones} == {f"hub:{server.address}"}
    assert server.paths == [f"/module/4?{FORM}"]
    assert (cache_dir / key_of(server.address) / "saved_model.pb").is_file()


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_one_message_and_leaves_nothing(
    server, cache_dir, archive, name
):
    """The ways out are said, and a good answer is taken the next time."""
    server.answer = BAD_ANSWERS[name](archive)
    began = time.monotonic()

    with pytest.raises(BackboneError) as caught:
        fetch(server.address)

    assert time.monotonic() - began < BOUND_SECONDS
    message = str(caught.value)
    assert message.startswith(f"The module {server.address} could not be")
    assert [way for way in ADVICE if way not in message] == []
    assert message.count("Ways out") == 1
    left = [p.name for p in cache_dir.iterdir() if p.suffix != ".txt"]
    assert left == []
    server.answer = Answer(gzip.compress(archive))
    assert (fetch(server.address) / "saved_model.pb").is_file()


def test_nobody_there_is_one_message(server, cache_dir):
    """A port that nobody listens on is told like any other failure."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/module/4"

        with pytest.raises(BackboneError, match=r"refused.*--preset digits"):
            fetch(address)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables"])
def test_half_a_kept_folder_is_refused_and_named(
    server, cache_dir, archive, name
):
    """What a sweep of old files left is refused until it is deleted."""
    server.answer = Answer(gzip.compress(archive))
    kept = fetch(server.address)
    for path in [kept / name, *(kept / name).glob("*")][::-1]:
        path.rmdir() if path.is_dir() else path.unlink()
    request = BackboneRequest(handle=f"hub:{server.address}", image_size=SIZE)

    with pytest.raises(BackboneError, match="delete that folder") as caught:
        load_backbone(request)
    assert f"folder {kept} is no whole" in str(caught.value)

    kept.rename(cache_dir / "away")
    assert load_backbone(request).feature_dim == 4


def test_an_empty_kept_folder_is_filled(server, cache_dir, archive):
    """A folder without any file is as good as none."""
    (cache_dir / key_of(server.address)).mkdir(parents=True)
    server.answer = Answer(gzip.compress(archive))

    assert (fetch(server.address) / "saved_model.pb").is_file()


def test_a_folder_that_cannot_be_made_is_one_message(
    server, tmp_path, monkeypatch
):
    """A file where the folder should be is an error a user can act on."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "file" / "hub"))

    with pytest.raises(BackboneError, match="TFHUB_CACHE_DIR"):
        fetch(server.address)


def test_a_killed_fetch_is_taken_over_at_once(server, cache_dir, archive):
    """The hub by itself would wait ten minutes for the dead."""
    whole = gzip.compress(archive)
    server.answer = Answer(whole, num_bytes=900, is_stalled=True)
    program = (
        "import sys; from embed import network; from embed.backbones.fetch "
        "import fetch; network.SILENCE_SECONDS = 99; fetch(sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, server.address],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + KILL_SECONDS
    while not server.paths and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    left = {path.suffix for path in cache_dir.iterdir()}
    server.answer = Answer(whole)
    began = time.monotonic()

    directory = fetch(server.address)

    assert left == {".lock", ".tmp"}
    assert time.monotonic() - began < KILL_SECONDS / 2
    assert (directory / "saved_model.pb").is_file()
    assert {p.suffix for p in cache_dir.iterdir()} == {"", ".txt"}


@pytest.mark.parametrize("host", [socket.gethostname(), "far.example.org"])
def test_a_fetch_of_the_living_is_waited_for(
    server, cache_dir, archive, monkeypatch, caplog, host
):
    """Who is fetching is said; the module is taken when that one is done."""
    cache_dir.mkdir()
    lock = cache_dir / f"{key_of(server.address)}.lock"
    lock.write_text(f"{host}.{os.getpid()}.task")
    server.answer = Answer(gzip.compress(archive))
    sleep = time.sleep

    def finish(seconds):
        with contextlib.suppress(FileNotFoundError):
            lock.unlink()
        sleep(0)

    monkeypatch.setattr("tensorflow_hub.resolver.time.sleep", finish)

    directory = fetch(server.address)

    assert f"process {os.getpid()} on {host} is fetching" in caplog.text
    assert str(lock) in caplog.text
    assert (directory / "saved_model.pb").is_file()
