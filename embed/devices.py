"""Everything that touches a GPU: memory growth, counts, determinism.

TensorFlow fixes memory growth when it initialises a device, so that
`prepare_devices()` runs before any other TensorFlow call of a command.
"""

import dataclasses
import functools
import os


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


@functools.cache
def prepare_devices() -> Devices:
    """Sets memory growth on every GPU, then initialises and counts them.

    Growth leaves the rest of a GPU's memory to other processes:
    https://www.tensorflow.org/guide/gpu#limiting_gpu_memory_growth
    """
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    for gpu in physical:
        tf.config.experimental.set_memory_growth(gpu, True)
    return Devices(
        num_physical_gpus=len(physical),
        num_logical_gpus=len(tf.config.list_logical_devices("GPU")),
        num_threads=num_cpu_threads(),
    )


def num_cpu_threads() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


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
