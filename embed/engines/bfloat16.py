"""A frozen graph in bfloat16: half the bits, for the matrix units of a GPU.

Images and features stay float32; weights and all between are rounded. A graph
with an operation that has no kernel for it is refused when it is imported, as
that of a batch normalisation in front of its convolution is.
"""

from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    import tensorflow as tf

ENTRY, RESULT = "images_bfloat16", "features_float32"


def compute_in_bfloat16(
    graph_def: "tf.compat.v1.GraphDef", entry: str, result: str
) -> str:
    """Rewrites a graph to compute in bfloat16.

    Args:
        graph_def: Of float32, without variables.
        entry: Name of its input node.
        result: Name of the node that is asked for.

    Returns:
        Name of the node to ask for instead, float32 again.
    """
    import tensorflow as tf

    single = tf.float32.as_datatype_enum
    half = tf.bfloat16.as_datatype_enum
    for node in graph_def.node:
        if node.name == entry:
            continue
        for index, tensor in enumerate(node.input):
            if tensor in (entry, f"{entry}:0"):
                node.input[index] = ENTRY
        for attribute in node.attr.values():
            if attribute.type == single:
                attribute.type = half
        if node.op == "Const" and node.attr["dtype"].type == half:
            value = tf.make_ndarray(node.attr["value"].tensor)
            node.attr["value"].tensor.CopyFrom(
                tf.make_tensor_proto(value, tf.bfloat16)
            )
    _add_cast(graph_def, ENTRY, entry, single, half)
    _add_cast(graph_def, RESULT, result, half, single)
    return RESULT


def _add_cast(
    graph_def: Any, name: str, tensor: str, source: int, target: int
) -> None:
    node = graph_def.node.add(name=name, op="Cast", input=[tensor])
    node.attr["SrcT"].type, node.attr["DstT"].type = source, target
    node.attr["Truncate"].b = False
