"""TensorFlow on a frozen graph: runs everywhere, and on a GPU."""

from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.engines.bfloat16 import compute_in_bfloat16
from embed.engines.engine import Engine
from embed.engines.engine import Stream
from embed.engines.engine import freeze
from embed.engines.folding import fold_affine

PIXELS_A_BATCH = 262_144
# On a GPU most of the time of a batch goes into copies of its pixels, in which
# others compute. Above 32 MB the allocator takes fresh pages for each copy.
GPU_STREAMS = 8
GPU_PIXELS_A_BATCH = 8 * PIXELS_A_BATCH
WIDTH = 2  # Axis of a batch.


class TensorFlowEngine(Engine):
    """A backbone as one graph of constants."""

    name = "tensorflow"

    def __init__(
        self, backbone: Backbone, batch_size: int | None, precision: str
    ) -> None:
        has_gpu = prepare_devices().num_logical_gpus > 0
        self.runs_ahead = self.mirrors_there = has_gpu
        self.pixels_a_batch = GPU_PIXELS_A_BATCH if has_gpu else PIXELS_A_BATCH
        super().__init__(backbone, batch_size)
        self._function = _optimize(
            freeze(backbone, self.input_shape), precision
        )
        for _ in range(GPU_STREAMS if has_gpu else num_cpu_threads()):
            self._add_stream(self._run)

    def _run(self, images: np.ndarray) -> np.ndarray:
        features: np.ndarray = self._function(tf.constant(images)).numpy()
        return features

    def _run_views(
        self, run: Stream, batch: np.ndarray, are_mirrored: Sequence[bool]
    ) -> Iterable[np.ndarray]:
        """Runs all views; to a GPU their pixels are copied once."""
        if not self.mirrors_there:
            return super()._run_views(run, batch, are_mirrored)
        images = tf.constant(batch)
        of_views = [
            self._function(tf.reverse(images, [WIDTH]) if m else images)
            for m in are_mirrored
        ]
        return [features.numpy() for features in of_views]


def _optimize(
    frozen: "tf.types.experimental.ConcreteFunction", precision: str
) -> "tf.types.experimental.ConcreteFunction":
    """Returns the same function of a folded graph, in a precision."""
    (entry,), (result,) = frozen.inputs, frozen.outputs
    graph_def = fold_affine(frozen.graph, result.op.name)
    output = result.op.name
    if precision == "bfloat16":
        output = compute_in_bfloat16(graph_def, entry.op.name, output)

    @tf.function(input_signature=[tf.TensorSpec(entry.shape, entry.dtype)])
    def forward(images: tf.Tensor) -> tf.Tensor:
        (features,) = tf.graph_util.import_graph_def(
            graph_def, {entry.op.name: images}, [f"{output}:0"], name=""
        )
        return features

    return forward.get_concrete_function()
