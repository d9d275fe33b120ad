"""Tests for `embed.devices`."""

import pytest
import tensorflow as tf

from embed.devices import Devices
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from tests.children import run_program


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        (Devices(0, 0, 2), "no GPU, 2 CPU threads"),
        (Devices(1, 4, 8), "1 physical and 4 logical GPUs, 8 CPU threads"),
    ],
)
def test_description(devices, text):
    """Physical and logical GPUs are counted apart."""
    assert devices.describe() == text


def test_devices_are_those_that_tensorflow_sees():
    """The counts are TensorFlow's, and every GPU may grow."""
    devices = prepare_devices()

    physical = tf.config.list_physical_devices("GPU")
    assert devices.num_physical_gpus == len(physical)
    assert devices.num_logical_gpus == len(
        tf.config.list_logical_devices("GPU")
    )
    assert devices.num_threads == num_cpu_threads() >= 1
    for gpu in physical:
        assert tf.config.experimental.get_memory_growth(gpu)


@pytest.mark.parametrize("package", ["embed", "head", "tune"])
def test_commands_start_without_heavy_imports(package):
    """`--help` answers at once, since nothing heavy is loaded for it."""
    program = (
        f"import sys, {package}.cli\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'h5py', 'sklearn',"
        " 'matplotlib', 'tensorflow_datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    process = run_program(program)

    assert process.stdout == "[]\n"


def test_seed_makes_what_follows_the_same():
    """Seed 0 is a seed like any other; run apart, since it is for good."""
    program = (
        "import sys, numpy as np, tensorflow as tf, keras\n"
        "from embed.devices import seed_everything\n"
        "for seed in (0, 0, 1):\n"
        "    seed_everything(seed)\n"
        "    print(np.random.rand(), float(tf.random.uniform(())),"
        " float(keras.random.uniform(())))\n"
    )

    process = run_program(program, timeout=120)

    first, again, other = process.stdout.splitlines()
    assert first == again
    assert first != other


@pytest.mark.parametrize("is_before", [True, False])
def test_one_thread_is_for_what_has_not_computed_yet(is_before):
    """Set before TensorFlow computes it holds; later it changes nothing."""
    calls = ["use_threads(1)", "tf.constant(1) + 1"]
    program = "\n".join(
        [
            "import tensorflow as tf",
            "from embed.devices import use_threads",
            *(calls if is_before else reversed(calls)),
            "print(tf.config.threading.get_intra_op_parallelism_threads(),",
            "      tf.config.threading.get_inter_op_parallelism_threads())",
        ]
    )

    printed = run_program(program, timeout=120).stdout

    # 0 is TensorFlow's own choice.
    assert printed.split() == (["1", "1"] if is_before else ["0", "0"])


def test_a_build_decodes_each_picture_in_one_thread(tmp_path):
    """All cores decode: the parts of one picture would wait for others."""
    words = ["build-cache", "--dataset", "folder:missing"]
    words += ["--backbone", "keras:MobileNetV2", "--weights", "missing.h5"]
    program = "\n".join(
        [
            "import os",
            f"os.chdir({str(tmp_path)!r})",
            "from embed.cli import app",
            f"try: app({words!r})",
            "except SystemExit: pass",
            "import tensorflow as tf",
            "print(tf.config.threading.get_intra_op_parallelism_threads())",
        ]
    )

    assert run_program(program, timeout=120).stdout.split() == ["1"]
