"""The list of backbones."""

import json

from embed.backbones.known import APPLICATIONS
from embed.backbones.listing import draw_table
from embed.backbones.listing import list_backbones


def by_handle(rows):
    """Returns rows by their handles."""
    return {row.handle: row for row in rows}


def test_what_is_known_is_listed_without_a_cache(tmp_path):
    """Networks of Keras with all that is known; presets only when asked."""
    rows = by_handle(list_backbones(tmp_path))

    known = APPLICATIONS["ResNet50"]
    row = rows["keras:ResNet50"]
    assert (row.side, row.feature_dim) == (known.side, known.feature_dim)
    assert (row.num_parameters, row.pixels) == (23_587_712, "caffe")
    assert row.measured is None
    assert not any(row.kind == "kerashub" for row in rows.values())


def test_a_kind_is_listed_alone(tmp_path):
    """KerasHub's presets have parameters, of which alone it tells."""
    rows = by_handle(list_backbones(tmp_path, "kerashub"))

    assert {row.kind for row in rows.values()} == {"kerashub"}
    assert rows["kerashub:resnet_50_imagenet"].num_parameters == 23_561_152


def test_what_was_used_here_has_its_speed(draw_cache, tmp_path):
    """The newest cache with a pass counts: its last call's views a second."""
    folder = tmp_path / "caches"
    folder.mkdir()
    draw_cache(folder / "a.h5", backbone="keras:MobileNetV2")
    draw_cache(folder / "b.h5", backbone="model:local?cut=pool&range=0,1")

    rows = by_handle(list_backbones(tmp_path))

    assert rows["keras:MobileNetV2"].feature_dim == 1280
    row = rows["model:local?cut=pool&range=0,1"]
    assert (row.kind, row.side, row.feature_dim) == ("model", 8, 8)
    assert row.measured is None  # These caches were drawn, not computed.


def test_a_speed_is_that_of_a_build(tiny_cache, tmp_path):
    """Rate, size, engine and precision, in the table and in the row."""
    row = by_handle(list_backbones(tmp_path / "artifacts"))["hub:local"]

    provenance = tiny_cache.provenance
    expected = provenance.attempts[-1].num_views / provenance.seconds["pass"]
    assert row.measured.views_per_second == expected
    assert (row.measured.side, row.measured.engine) == (8, "tensorflow")
    assert f"{expected:,.0f} at 8 px (tensorflow, float32)" in draw_table([row])


def test_the_command_prints_one_object(run_command):
    """`--json` is the list; the hint of more goes to stderr."""
    done = run_command("backbones", "--json", "--kind", "hub")

    (row,) = json.loads(done.stdout)["backbones"]
    assert row["handle"].startswith("hub:https://tfhub.dev/google/imagenet")
    assert (row["side"], row["feature_dim"]) == (224, 1792)
