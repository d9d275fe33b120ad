"""Everything that touches a GPU: memory growth, counts, determinism.

TensorFlow fixes memory growth when it initialises a device, so that
`prepare_devices()` runs before any other TensorFlow call of a command.
"""

import contextlib
import dataclasses
import functools
import os

from embed.startup import import_libraries

GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclasses.dataclass(frozen=True)
class Devices:
    """What TensorFlow computes on.

    Args:
        num_physical_gpus: GPUs in the machine that TensorFlow can see.
        num_logical_gpus: GPUs as TensorFlow divides them; it uses these.
        num_threads: CPU threads an operation may use.
    """

    num_physical_gpus: int
    num_logical_gpus: int
    num_threads: int

    def describe(self) -> str:
        """Returns one line for people."""
        if not self.num_physical_gpus:
            return f"no GPU, {self.num_threads} CPU threads"
        return (
            f"{self.num_physical_gpus} physical and {self.num_logical_gpus} "
            f"logical GPUs, {self.num_threads} CPU threads"
        )


_thread_limits: list[int] = []  # The last one holds.


def limit_threads(num_threads: int) -> None:
    """Has this process use so many cores at most, whichever they are.

    It must come before all that computes.

    Args:
        num_threads: Its share of a machine on which others work too.
    """
    _thread_limits.append(num_threads)


@functools.cache
def prepare_devices() -> Devices:
    """Sets memory growth on every GPU, then initialises and counts them.

    Growth leaves the rest of a GPU's memory to other processes:
    https://www.tensorflow.org/guide/gpu#limiting_gpu_memory_growth
    """
    with import_libraries():
        import tensorflow as tf

        physical = tf.config.list_physical_devices("GPU")
        for gpu in physical:
            tf.config.experimental.set_memory_growth(gpu, True)
        # Nor are the 10 bits of TF32 what a fingerprint calls float32.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        logical = tf.config.list_logical_devices("GPU")
    return Devices(
        num_physical_gpus=len(physical),
        num_logical_gpus=len(logical),
        num_threads=num_cpu_threads(),
    )


def share_gpus(num_processes: int) -> list[str]:
    """Returns what `CUDA_VISIBLE_DEVICES` is for each of several processes.

    Each GPU goes to one of them; where there are fewer, some share one.
    """
    given = os.environ.get(GPUS_VARIABLE, "")
    gpus = given.split(",") if given else []
    gpus = gpus or [str(n) for n in range(prepare_devices().num_physical_gpus)]
    return [
        ",".join(gpus[number::num_processes] or gpus[number % len(gpus) :][:1])
        if gpus
        else ""
        for number in range(num_processes)
    ]


def use_threads(num_threads: int) -> None:
    """Has TensorFlow compute each operation in one thread.

    For what is many small operations, as the training of a head and decoding
    are: to hand them from thread to thread costs two fifths of the time of
    one on 2 cores, and a sixth of the other's. It holds for the process, and
    does nothing where TensorFlow has computed before.

    Args:
        num_threads: Operations at the same time: as many as there are
            trainings, or cores.
    """
    with import_libraries(), contextlib.suppress(RuntimeError):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(num_threads)


def num_cpu_threads() -> int:
    """Returns the number of cores that this process may use."""
    return min([len(os.sched_getaffinity(0)), *_thread_limits[-1:]])


def seed_everything(seed: int) -> None:
    """Makes what follows depend on `seed` alone, on a GPU as on a CPU.

    The seed 0 is a seed like any other. Every random operation that comes
    later must be seeded: TensorFlow refuses one that is not.
    """
    import keras
    import tensorflow as tf

    prepare_devices()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
