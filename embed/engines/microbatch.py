"""Micro-batches: wide layers see a few images at a time, all others the batch.

    features = narrow(concat(wide(part) for part in split(images)))

The first layers of a convolutional network have few weights and large
activations, which stay nearer to the core the fewer images they are of; the
weights of the last layers are read once a batch. The features are the same to
the bit.
"""

import collections
import math

import numpy as np
import openvino
from openvino import opset13

from embed.engines.edges import connect

# Of an activation, in all images that a layer sees at a time. On 2 cores with
# 2 MB each MobileNetV2 1.4 at 224 px is a tenth faster then in float32, and a
# seventh in bfloat16.
MOST_BYTES = 4_000_000
# The scale, offset and ReLU behind these become part of them: the cut is made
# in front of one.
LAYERS = {"Convolution", "GroupConvolution", "MatMul"}


def use_microbatches(
    model: openvino.Model, pixels: openvino.Output, value_bytes: int
) -> None:
    """Divides the batch of a model for its wide layers, in place.

    One stays as it is that is wide nowhere or up to its end, or where more
    than one activation passes from wide layers to others.

    Args:
        model: Of one input of static shape, with the batch in front.
        pixels: The images, at the step behind which they may be divided.
        value_bytes: What a value of an activation takes.
    """
    batch_size, *image_shape = pixels.get_shape()
    most_values = MOST_BYTES // value_bytes
    cut, widest = _find_cut(model, most_values)
    num_parts = min(math.ceil(widest / most_values), batch_size)
    if cut is None or num_parts == 1:
        return
    users = cut.get_target_inputs()
    wide = _extract(pixels, cut)
    sizes = [len(p) for p in np.array_split(np.arange(batch_size), num_parts)]
    parts = opset13.variadic_split(
        pixels, np.int64(0), np.array(sizes, np.int64)
    )
    activations = []
    try:
        for size, part in zip(sizes, parts.outputs(), strict=True):
            of_part = wide.clone()
            of_part.reshape([size, *image_shape])
            (placeholder,) = of_part.get_parameters()
            connect(placeholder.output(0).get_target_inputs(), part)
            activations.append(of_part.get_results()[0].input_value(0))
        joined = opset13.concat(activations, 0).output(0)
    except RuntimeError:  # The size of the batch is written into it.
        return
    if joined.get_shape() == cut.get_shape():  # The batch is in front.
        connect(users, joined)
        model.validate_nodes_and_infer_types()


def _extract(start: openvino.Output, stop: openvino.Output) -> openvino.Model:
    """Returns what computes one activation from another, as its own model."""
    users = start.get_target_inputs()
    placeholder = opset13.parameter(start.get_shape(), start.get_element_type())
    connect(users, placeholder.output(0))
    try:
        return openvino.Model([stop], [placeholder]).clone()
    finally:
        connect(users, start)


def _find_cut(
    model: openvino.Model, most_values: int
) -> tuple[openvino.Output | None, int]:
    """Returns the activation behind which no layer is wide.

    Args:
        model: Where to look.
        most_values: Of an activation that is not wide, over all images.

    Returns:
        The one that all behind it is computed from, `None` if there is none
        or nothing is wide; and the number of values of the widest.
    """
    if model.is_dynamic():
        return None, 0
    constants = set[str]()
    uses = collections.Counter[tuple[str, int]]()  # Of activations, to come.
    cut, widest = None, 0
    for node in model.get_ordered_ops():
        name, kind = node.get_name(), node.get_type_name()
        sources = [
            source
            for source in node.input_values()
            if source.get_node().get_name() not in constants
        ]
        if not sources and kind != "Parameter":
            constants.add(name)
            continue
        if cut is None and kind in LAYERS and len(uses) == 1:
            is_wide = math.prod(sources[0].get_shape()) > most_values
            cut = None if is_wide else sources[0]
        for source in sources:
            uses[source.get_node().get_name(), source.get_index()] -= 1
        for output in node.outputs():
            uses[name, output.get_index()] = len(output.get_target_inputs())
            num_values = math.prod(output.get_shape())
            if num_values > most_values:
                cut, widest = None, max(widest, num_values)
        uses = +uses  # Without what is done with.
    return (cut if widest else None), widest
