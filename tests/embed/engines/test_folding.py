"""Tests for `embed.engines.folding`."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.engines.engine import freeze
from embed.engines.folding import fold_affine

RNG = np.random.default_rng(0)
SHAPE = (2, 6, 5, 3)


def draw(*shape):
    """Returns positive constants, far from one."""
    return tf.constant(RNG.uniform(0.5, 2.0, shape), tf.float32)


def convolve(x, channels=4):
    """Returns a plain convolution."""
    return tf.nn.conv2d(x, draw(3, 3, x.shape[-1], channels), 1, "SAME")


def convolve_depthwise(x, multiplier=2):
    """Returns a depthwise convolution, `multiplier` channels out of each."""
    weights = draw(3, 3, x.shape[-1], multiplier)
    return tf.nn.depthwise_conv2d(x, weights, (1, 1, 1, 1), "SAME")


def normalize(x):
    """Returns the batch normalisation that TF-Hub's modules have."""
    size = x.shape[-1]
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=draw(size),
        offset=draw(size),
        mean=draw(size),
        variance=draw(size),
        epsilon=1e-3,
        is_training=False,
    )[0]


def run(graph_def, inputs, output):
    """Returns what a graph answers."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        return session.run(output, inputs)


def fold(function):
    """Returns answers before and after, and how often each operation occurs."""
    concrete = tf.function(function).get_concrete_function(
        tf.TensorSpec(SHAPE, tf.float32)
    )
    (entry,), (result,) = concrete.inputs, concrete.outputs
    graph_def = fold_affine(concrete.graph, result.op.name)
    x = RNG.normal(size=SHAPE).astype(np.float32)
    expected, folded = (
        run(definition, {entry.name: x}, result.name)
        for definition in (concrete.graph.as_graph_def(), graph_def)
    )
    counts = collections.Counter(node.op for node in graph_def.node)
    return folded, expected, counts


@pytest.mark.parametrize("convolution", [convolve, convolve_depthwise])
@pytest.mark.parametrize("shape", [(1,), (1, 1, 1, 1)])
def test_scale_and_offset_go_into_the_convolution(convolution, shape):
    """What is one value a channel is folded, whatever its rank."""

    def forward(x):
        x = convolution(x)
        size = x.shape[-1]
        scale = draw(*shape[:-1], size) * tf.math.rsqrt(draw(size))
        return tf.identity(tf.nn.relu6(x * scale + draw(size)))

    folded, expected, counts = fold(forward)

    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)
    assert counts["BiasAdd"] == 1
    assert counts["AddV2"] == 0


@pytest.mark.parametrize("convolution", [convolve, convolve_depthwise])
def test_batch_normalisation_goes_into_the_convolution(convolution):
    """The operation of older models becomes an offset."""
    folded, expected, counts = fold(
        lambda x: tf.nn.relu(normalize(convolution(x)))
    )

    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)
    assert counts["BiasAdd"] == 1
    assert counts["FusedBatchNormV3"] == 0


def scale_rows(x):
    """Scales by place instead of by channel, of which there are as many."""
    return convolve(x, channels=5) * draw(5, 1)


def scale_twice_used(x):
    """Uses a convolution with its scale and without."""
    y = convolve(x)
    return y * draw(4) + tf.nn.relu(y)


def scale_by_image(x):
    """Scales by something that is not known before."""
    return convolve(x) * tf.reduce_mean(x, (1, 2, 3), keepdims=True)


def add_residual(x):
    """Adds what is not known before."""
    return convolve(x, channels=3) + x


def end_in_convolution(x):
    """Is asked for the convolution itself, scaled elsewhere."""
    return convolve(x)


@pytest.mark.parametrize(
    "function",
    [
        scale_rows,
        scale_twice_used,
        scale_by_image,
        add_residual,
        end_in_convolution,
    ],
)
def test_what_cannot_be_folded_stays(function):
    """The answers are the same, and no offset is made up."""
    folded, expected, counts = fold(function)

    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)
    assert counts["BiasAdd"] == 0


def test_a_graph_with_branches_is_left_alone():
    """A constant of a branch that is not taken stays there."""

    def forward(x):
        scaled = convolve(x) * draw(4)
        return tf.cond(
            tf.reduce_mean(x) > 10, lambda: scaled * 0.0, lambda: scaled + 1.0
        )

    backbone = tf.function(forward).get_concrete_function(
        tf.TensorSpec(SHAPE, tf.float32)
    )
    frozen = convert_to_constants.convert_variables_to_constants_v2(backbone)
    (entry,), (result,) = frozen.inputs, frozen.outputs
    before = frozen.graph.as_graph_def()
    assert "Switch" in {node.op for node in before.node}

    graph_def = fold_affine(frozen.graph, result.op.name)

    x = RNG.normal(size=SHAPE).astype(np.float32)
    np.testing.assert_array_equal(
        run(graph_def, {entry.name: x}, result.name),
        run(before, {entry.name: x}, result.name),
    )


def test_a_scale_alone_is_folded():
    """The offset need not be there, nor follow at once."""
    folded, expected, counts = fold(
        lambda x: tf.nn.relu(convolve_depthwise(x) * draw(6)) + draw(6)
    )

    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)
    assert (counts["Mul"], counts["AddV2"]) == (0, 1)


def test_every_normalisation_of_a_network_is_folded():
    """All 52 of MobileNetV2, and what computes them is used no more."""
    backbone = load_backbone(
        BackboneRequest(
            handle="keras:MobileNetV2?alpha=0.35",
            weights="random",
            image_size=(32, 32),
        )
    )
    frozen = freeze(backbone, (2, 32, 32, 3))

    graph_def = fold_affine(frozen.graph, frozen.outputs[0].op.name)

    counts = collections.Counter(node.op for node in graph_def.node)
    assert counts["BiasAdd"] == 52
    users = {name.partition(":")[0] for n in graph_def.node for name in n.input}
    scaled = [
        node.name
        for node in graph_def.node
        if node.op == "Mul" and node.name in users and "images" in node.input
    ]
    assert len(scaled) == 1  # The pixels' own scale.
