"""What tests of the doctor share: installations with a fault, and subjects."""

import os
import re
import site
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from embed.doctor.subject import Subject
from tests.conftest import COMMAND_SECONDS
from tests.conftest import ROOT


@pytest.fixture(name="make_site")
def _make_site(tmp_path):
    """Makes the folder of an installation that has other packages.

    Everything that is installed is there by links, but for the names that
    match `without`; of `versions` only what is said of them is another.
    """
    folder = tmp_path / "site-packages"

    def make(*, without="", versions=None):
        folder.mkdir()
        hidden = [rf"{name}-.*\.dist-info" for name in versions or {}]
        hidden += [without] if without else []
        for packages in site.getsitepackages():
            for path in Path(packages).iterdir():
                if not any(re.fullmatch(text, path.name) for text in hidden):
                    (folder / path.name).symlink_to(path)
        for name, version in (versions or {}).items():
            info = folder / f"{name}-{version}.dist-info"
            info.mkdir()
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (info / "METADATA").write_text(text)
        return folder

    return make


@pytest.fixture(name="run_python")
def _run_python(tmp_path):
    """Runs Python with the packages of a folder, and with no others."""

    def run(folder, *arguments, env=None):
        return subprocess.run(
            [sys.executable, "-S", *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
                **(env or {}),
            },
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    return run


@pytest.fixture(name="subject")
def _subject(tiny_request, tmp_path):
    """The build of the drawn pictures with the tiny backbone."""
    return Subject(
        dataset=tiny_request.source.dataset,
        data_dir=None,
        backbone=tiny_request.backbone.handle,
        image_size=8,
        views="flip",
        artifacts_dir=tmp_path / "artifacts",
    )


@pytest.fixture(name="closed_address")
def _closed_address():
    """The address of a module at a port of this machine that nobody opens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/module/1"
