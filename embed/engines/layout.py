"""Layout: pixels are scaled as they lie, so that nothing need be moved.

OpenVINO reads a graph of TensorFlow with a transpose behind the images, from
height, width, channels to channels, height, width. In front of a convolution
that costs nothing, since that takes pixels as they lie. A scale and an offset
in between would have them moved there and back.
"""

import itertools

import numpy as np
import openvino
from openvino import opset13

from embed.engines.edges import connect
from embed.engines.edges import only_user

SCALINGS = {"Multiply": opset13.multiply, "Add": opset13.add}


def scale_before_transpose(model: openvino.Model) -> openvino.Output:
    """Moves the transpose of images behind their scaling, in place.

    A scaling that is not the same for all channels stays where it is.

    Args:
        model: Of one input.

    Returns:
        The images, scaled as far as they are before they are transposed.
    """
    (images,) = model.get_parameters()
    transpose = only_user(images)
    pixels = images.output(0)
    if transpose is None or transpose.get_type_name() != "Transpose":
        return pixels
    last: openvino.Node = transpose
    while (node := only_user(last)) is not None:
        value = _find_scalar(node)
        if value is None:
            break
        pixels = SCALINGS[node.get_type_name()](pixels, value).output(0)
        last = node
    if last is transpose:
        return pixels
    moved = opset13.transpose(pixels, transpose.input_value(1)).output(0)
    connect(last.output(0).get_target_inputs(), moved)
    model.validate_nodes_and_infer_types()
    return pixels


def _find_scalar(node: openvino.Node) -> np.ndarray | None:
    """Returns what a node scales or offsets all values by, if it does."""
    if node.get_type_name() not in SCALINGS:
        return None
    for scaled, other in itertools.permutations(node.input_values()):
        constant = other.get_node()
        if constant.get_type_name() != "Constant":
            continue
        values = constant.get_data()
        is_uniform = values.size and (values == values.flat[0]).all()
        # Else it makes more pixels of these.
        if is_uniform and scaled.get_shape() == node.output(0).get_shape():
            scalar: np.ndarray = values.ravel()[0]
            return scalar
    return None
