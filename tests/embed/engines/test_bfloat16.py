"""Tests for `embed.engines.bfloat16`."""

import numpy as np
import pytest
import tensorflow as tf

from embed.engines.bfloat16 import compute_in_bfloat16

SHAPE = (4, 3)


def define(function):
    """Returns the graph of a function of one input, and its nodes' names."""
    concrete = tf.function(function).get_concrete_function(
        tf.TensorSpec(SHAPE, tf.float32)
    )
    graph_def = concrete.graph.as_graph_def()
    return graph_def, concrete.inputs[0].op.name, concrete.outputs[0].op.name


def run(graph_def, entry, result, x):
    """Returns what a graph answers."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        return session.run(f"{result}:0", {f"{entry}:0": x})


@pytest.mark.parametrize(
    "function",
    [
        lambda x: tf.matmul(x, tf.constant([[1.0], [2.0], [1 / 3]])),
        lambda x: tf.nn.relu(x * 2.0 - 1.0),
        tf.identity,
    ],
)
def test_answers_are_those_of_float32_but_for_rounding(function):
    """Within 8 bits, not equal; images and answers are float32."""
    graph_def, entry, result = define(function)
    x = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
    expected = run(graph_def, entry, result, x)

    name = compute_in_bfloat16(graph_def, entry, result)
    answers = run(graph_def, entry, name, x)

    assert answers.dtype == np.float32
    difference = np.abs(answers - expected).max() / np.abs(expected).max()
    assert 0 < difference < 2**-6


def test_nothing_between_is_float32():
    """All but the two casts and what they lead to."""
    graph_def, entry, result = define(
        lambda x: tf.reduce_mean(tf.nn.relu6(x + tf.constant([1.0, 2, 3])), 1)
    )

    compute_in_bfloat16(graph_def, entry, result)

    single = [
        (node.op, name)
        for node in graph_def.node
        for name, attribute in node.attr.items()
        if attribute.type == tf.float32.as_datatype_enum
    ]
    assert sorted(single) == [
        ("Cast", "DstT"),
        ("Cast", "SrcT"),
        ("Placeholder", "dtype"),
    ]
