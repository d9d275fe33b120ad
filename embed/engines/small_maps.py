"""Small maps: 1x1 convolutions see a batch of them as one tall image.

    (images, channels, height, width) <-> (1, channels, images * height, width)

A matrix unit takes 16 pixels at a time, and OpenVINO begins anew with each
image: of the 49 pixels of a last layer the fourth lot has one. Pixels lie
behind each other, channels last, image after image, so that nothing is moved
between depthwise convolutions, as MobileNet has them. Elsewhere OpenVINO
would lay them out anew, which costs more than it saves.
"""

from collections.abc import Mapping

import numpy as np
import openvino
from openvino import opset13

from embed.engines.edges import connect

# Of an image. 1x1 convolutions of 7 x 7 pixels take two thirds of the time;
# those of 14 x 14, with less left over, the same.
MOST_PIXELS = 128
# What follows a convolution and becomes part of it.
FUSED = {"Multiply", "Add", "Clamp", "Relu"}
DEPTHWISE, MEAN = "GroupConvolution", "ReduceMean"
CHANNELS_LAST, CHANNELS_FIRST = np.array([[0, 2, 3, 1], [0, 3, 1, 2]])

Nodes = Mapping[str, openvino.Node]  # By name.


def join_small_maps(model: openvino.Model) -> None:
    """Has 1x1 convolutions, and what follows them, see a batch as one image.

    Args:
        model: With the batch in front; changed in place.
    """
    joined = {} if model.is_dynamic() else _find_joined(model)
    for node in joined.values():
        for entry in node.inputs():
            source = entry.get_source_output()
            if not _is_constant(source) and _name(source) not in joined:
                num_images, _, height, width = list(source.shape)
                tall = _reshape(source, [1, num_images * height, width])
                connect({entry}, tall)
    for node in joined.values():
        users = {
            user
            for user in node.output(0).get_target_inputs()
            if user.get_node().get_type_name() in (DEPTHWISE, MEAN)
        }
        if users:
            num_images, _, height, width = list(node.output(0).shape)
            shape = [num_images, height, width]
            connect(users, _reshape(node.output(0), shape))
    model.validate_nodes_and_infer_types()


def _find_joined(model: openvino.Model) -> Nodes:
    """Returns what works by pixel, and all around it is depthwise."""
    joined: dict[str, openvino.Node] = {}
    for node in model.get_ordered_ops():
        if _is_pointwise(node) or _follows(node, joined):
            joined[node.get_name()] = node
    # Without one, its neighbours have another neighbour than they had.
    while misfits := [n for n in joined.values() if not _fits(n, joined)]:
        for node in misfits:
            del joined[node.get_name()]
    return joined


def _is_pointwise(node: openvino.Node) -> bool:
    """Tells whether a node is a 1x1 convolution of several small maps."""
    if node.get_type_name() != "Convolution" or not _has_small_maps(node):
        return False
    images, weights = node.input_values()
    is_padded = images.shape[2:] != node.output(0).shape[2:]
    is_dense = list(node.get_attributes()["strides"]) == [1, 1]
    return is_dense and not is_padded and list(weights.shape[2:]) == [1, 1]


def _follows(node: openvino.Node, joined: Nodes) -> bool:
    """Tells whether a node works by pixel on what is joined."""
    if node.get_type_name() not in FUSED or not _has_small_maps(node):
        return False
    sources = node.input_values()
    return any(_name(source) in joined for source in sources) and all(
        _is_by_channel(source)
        if _is_constant(source)
        else source.shape == node.output(0).shape
        for source in sources
    )


def _fits(node: openvino.Node, joined: Nodes) -> bool:
    """Tells whether what is around a node leaves pixels where they are."""
    users = [user.get_node() for user in node.output(0).get_target_inputs()]
    return all(
        _is_constant(source)
        or _name(source) in joined
        or _find_origin(source.get_node()) == DEPTHWISE
        for source in node.input_values()
    ) and all(
        user.get_name() in joined or user.get_type_name() in (DEPTHWISE, MEAN)
        for user in users
    )


def _find_origin(node: openvino.Node) -> str:
    """Returns the kind of the layer that a node becomes part of."""
    while node.get_type_name() in FUSED:
        sources = [s for s in node.input_values() if not _is_constant(s)]
        if len(sources) != 1:
            break
        node = sources[0].get_node()
    kind: str = node.get_type_name()
    return kind


def _has_small_maps(node: openvino.Node) -> bool:
    """Tells whether a node answers several images of few pixels."""
    shape = list(node.output(0).shape)
    if len(shape) != 4:
        return False
    num_images, _, height, width = shape
    is_small: bool = height * width <= MOST_PIXELS
    return num_images > 1 and is_small


def _is_by_channel(constant: openvino.Output) -> bool:
    """Tells whether a constant is the same for all images and pixels."""
    shape = list(constant.shape)
    padded: list[int] = [1] * (4 - len(shape)) + shape
    num_images, _, height, width = padded
    return num_images == height == width == 1


def _is_constant(source: openvino.Output) -> bool:
    kind: str = source.get_node().get_type_name()
    return kind == "Constant"


def _name(source: openvino.Output) -> str:
    name: str = source.get_node().get_name()
    return name


def _reshape(source: openvino.Output, shape: list[int]) -> openvino.Output:
    """Returns the same pixels as images of another number and height.

    Args:
        source: Images.
        shape: Without the channels.
    """
    pixels = opset13.transpose(source, CHANNELS_LAST)
    shape = [*shape, source.shape[1]]
    pixels = opset13.reshape(pixels, np.array(shape), special_zero=False)
    return opset13.transpose(pixels, CHANNELS_FIRST).output(0)
