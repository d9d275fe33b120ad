"""Tests for `tune.comparing.table`."""

from tune.comparing.table import format_comparison


def test_each_cache_is_a_row(create_comparison):
    """Everything that is known of it is on it; what is not, is left out."""
    lines = format_comparison(create_comparison()).splitlines()

    assert [word for word in lines[1].split() if word != "to"] == [
        *("keras:MobileNetV2", "224", "plain,flip", "90.12", "88.0-92.0"),
        *("90.0-90.2", "91.00", "89.88", "1,280", "178", "38.0", "MB"),
        *("1.6", "s"),
    ]
    assert [word for word in lines[2].split() if word != "to"] == [
        *("keras:MobileNetV2", "96", "plain", "85.12", "83.0-87.0"),
        *("85.0-85.2", "-5.00", "-7.0", "-3.0", "91.00", "1,280"),
        *("900", "38.0", "MB", "1.6", "s"),
    ]


def test_what_the_figures_are_of(create_comparison):
    """Images, seeds, and what the differences are to."""
    text = format_comparison(create_comparison())

    assert (
        "Mean of 2 seeds on 600 validation images; points: from "
        "keras:MobileNetV2 224 px, 2 views, image by image." in text
    )
    assert "Not told apart" not in text
    assert "several" not in text


def test_a_difference_that_may_be_none_is_said(create_comparison):
    """Its interval holds zero."""
    text = format_comparison(
        create_comparison(difference_interval=(-0.01, 0.002))
    )

    assert "Not told apart from the first by these images: keras:" in text


def test_rates_of_several_machines_are_said(create_comparison):
    """And of several engines: neither is the backbone's alone."""
    text = format_comparison(create_comparison(host="other", engine="openvino"))

    assert "of several machines: ['box', 'other']" in text
    assert "of several engines: ['litert', 'openvino']" in text


def test_what_is_not_usual_tells_rows_apart(create_comparison):
    """Two caches of one backbone may differ in how it computed alone."""
    text = format_comparison(
        create_comparison(precision="bfloat16", dtype="float16")
    )

    assert "keras:MobileNetV2 bfloat16 float16  96" in text
