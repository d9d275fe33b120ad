"""Folds what follows a convolution into it: scales into weights, then offsets.

    conv(x, w) * scale + offset  ->  bias_add(conv(x, w * scale), offset)

TensorFlow then computes convolution, offset and ReLU in one operation. Left
alone it does so for plain convolutions; for depthwise ones each scale and
each offset is a pass over the whole activation, a sixth of MobileNetV2's time.
The other engines do it themselves.
"""

import math
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# How many of the weights' last axes count the channels out.
CONVOLUTIONS = {"Conv2D": 1, "DepthwiseConv2dNative": 2}
BATCH_NORM = "FusedBatchNormV3"
# There a constant is kept in its branch or loop by a control input.
CONTROL_FLOW = {"Switch", "Merge", "Enter"}
# What scales and offsets are computed by, out of constants.
ARITHMETIC = {"Identity", "Mul", "AddV2", "Sub", "Rsqrt", "Sqrt", "RealDiv"}


def fold_affine(graph: "tf.Graph", output: str) -> "tf.compat.v1.GraphDef":
    """Returns a graph of fewer operations and the same answers.

    Args:
        graph: Its variables are constants.
        output: Name of the node that is asked for; it stays what it is.
    """
    import tensorflow as tf

    if CONTROL_FLOW & {node.type for node in graph.get_operations()}:
        return graph.as_graph_def()
    folding = _Folding(graph, output)
    for node in list(folding.graph_def.node):
        if (
            node.op in CONVOLUTIONS
            and node.attr["data_format"].s == b"NHWC"
            and node.attr["T"].type == tf.float32.as_datatype_enum
        ):
            folding.fold(node)
    return folding.graph_def


class _Folding:
    """A graph, and what it is folded to so far.

    Args:
        graph: What is there.
        output: Name of the node that stays what it is.
    """

    def __init__(self, graph: "tf.Graph", output: str) -> None:
        import tensorflow as tf

        self.graph_def = graph.as_graph_def()
        self._users: dict[str, list[Any]] = {output: [None]}  # The caller.
        known: set[str] = set()
        for node in self.graph_def.node:
            # Nothing that is left has state: order is by data alone.
            data = [tensor for tensor in node.input if tensor[0] != "^"]
            del node.input[:]
            node.input.extend(data)
            names = [_node_of(tensor) for tensor in node.input]
            for name in names:
                self._users.setdefault(name, []).append(node)
            is_known = node.op in ARITHMETIC and known.issuperset(names)
            if node.op == "Const" or is_known:
                known.add(node.name)
        wanted = sorted(
            name
            for name in known
            if any(
                user and user.name not in known
                for user in self._users.get(name, [])
            )
        )
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.graph_util.import_graph_def(self.graph_def, name="")
            values = session.run([f"{name}:0" for name in wanted])
        self._values = dict(zip(wanted, map(np.asarray, values), strict=True))

    def fold(self, convolution: Any) -> None:
        """Folds what follows one convolution, as far as it can be."""
        last, user = convolution, self._only_user(convolution)
        if user is not None and user.op == BATCH_NORM:
            self._fold_batch_norm(convolution, user)
            return
        if user is not None and user.op == "Mul":
            scale = self._constant_beside(last, user)
            if scale is None or not self._scale(convolution, scale):
                return
            _become(user, "Identity", [convolution.name])
            last, user = user, self._only_user(user)
        if user is not None and user.op in ("AddV2", "Add"):
            offset = self._constant_beside(last, user)
            shape = self._channels_out(convolution)
            if offset is not None and shape and offset.size == math.prod(shape):
                self._offset(last, user, offset)

    def _fold_batch_norm(self, convolution: Any, node: Any) -> None:
        """Folds a batch normalisation by moving statistics."""
        values = [self._values.get(_node_of(t)) for t in node.input[1:5]]
        if node.attr["is_training"].b or any(v is None for v in values):
            return
        gamma, beta, mean, variance = values
        scale = gamma / np.sqrt(variance + node.attr["epsilon"].f)
        if self._scale(convolution, scale):
            self._offset(convolution, node, beta - mean * scale)

    def _scale(self, convolution: Any, scale: np.ndarray) -> bool:
        """Scales the weights by channel out; says whether it could."""
        shape = self._channels_out(convolution)
        if not shape or scale.size not in (1, math.prod(shape)):
            return False
        weights = self._values[_node_of(convolution.input[1])]
        scales = np.resize(scale, math.prod(shape)).reshape(shape)
        convolution.input[1] = self._add_constant(
            f"{convolution.name}/folded_weights",
            weights * scales,
        )
        return True

    def _offset(self, last: Any, node: Any, offset: np.ndarray) -> None:
        """Turns a node into the addition of an offset to each channel."""
        name = self._add_constant(f"{node.name}/folded_offset", offset)
        _become(node, "BiasAdd", [last.name, name])
        node.attr["data_format"].s = b"NHWC"

    def _channels_out(self, convolution: Any) -> tuple[int, ...]:
        """Returns the axes of the weights that count them; none if unknown."""
        weights = self._values.get(_node_of(convolution.input[1]))
        if weights is None:
            return ()
        return weights.shape[-CONVOLUTIONS[convolution.op] :]

    def _only_user(self, node: Any) -> Any:
        """Returns the node that alone uses the result of another, if any."""
        users = self._users.get(node.name, [])
        return users[0] if len(users) == 1 else None

    def _constant_beside(self, last: Any, user: Any) -> np.ndarray | None:
        """Returns the other operand, where it is one value a channel."""
        names = [n for n in map(_node_of, user.input) if n != last.name]
        value = self._values.get(names[0]) if len(names) == 1 else None
        if value is None:
            return None
        is_by_channel = value.size == max((1, *value.shape[-1:]))
        return value.reshape(value.shape[-1:]) if is_by_channel else None

    def _add_constant(self, name: str, value: np.ndarray) -> str:
        import tensorflow as tf

        self._values[name] = value
        node = self.graph_def.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(
            tf.make_tensor_proto(value.astype(np.float32))
        )
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        return name


def _node_of(tensor: str) -> str:
    """Returns the name of the node that computes a tensor."""
    return tensor.partition(":")[0]


def _become(node: Any, operation: str, inputs: list[str]) -> None:
    """Turns a node into another of the same name and type."""
    node.op = operation
    del node.input[:]
    node.input.extend(inputs)
    for name in set(node.attr) - {"T"}:
        del node.attr[name]
