"""Tests for `embed.startup`."""

import pytest

from tests.children import run_program


@pytest.mark.parametrize("body", ["pass", "1 / 0"])
def test_stderr_is_whole_again_after_a_quiet_start(body):
    """What libraries shout is dropped; what comes later is not."""
    program = (
        "import os, contextlib\n"
        "from embed.startup import quiet_start\n"
        "with contextlib.suppress(ZeroDivisionError):\n"
        "    with quiet_start():\n"
        "        os.write(2, b'noise\\n')\n"
        f"        {body}\n"
        "os.write(2, b'signal\\n')\n"
    )

    streams = {
        level: run_program(program, TF_CPP_MIN_LOG_LEVEL=level).stderr
        for level in ("3", "0")
    }

    assert streams == {"3": "signal\n", "0": "noise\nsignal\n"}


@pytest.mark.parametrize(
    ("is_ours", "is_enabled"), [(True, True), (False, True), (True, False)]
)
def test_libraries_are_set_apart_in_our_own_processes(is_ours, is_enabled):
    """The collector rests during an import; it is then as it was before."""
    program = (
        "import gc\n"
        "from embed.startup import import_libraries, own_process\n"
        f"if {is_ours}: own_process(is_verbose=False)\n"
        f"if not {is_enabled}: gc.disable()\n"
        "with import_libraries():\n"
        "    print(gc.isenabled())\n"
        "    import pydantic\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
    )

    output = run_program(program).stdout

    assert output.split() == ["False", str(is_enabled), str(is_ours)]
