"""The list of backbones."""

import json

import pytest

from embed.backbones.known import APPLICATIONS
from embed.catalogue.listing import draw_table
from embed.catalogue.listing import list_backbones
from embed.provenance import host_name
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import write_drawn_cache


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


def built(*, host=None, seconds=4.0):
    """Returns what is recorded of a build of 200 views."""
    attempt = PROVENANCE.attempts[-1].model_copy(update={"num_views": 200})
    return PROVENANCE.model_copy(
        update={
            "host": host or host_name(),
            "seconds": {"pass": seconds},
            "attempts": (attempt,),
        }
    )


def test_a_speed_is_that_of_a_build(tmp_path):
    """Rate, size, engine and precision, in the table and in the row."""
    (tmp_path / "caches").mkdir()
    write_drawn_cache(
        tmp_path / "caches" / "a.h5",
        backbone="hub:local",
        provenance=built(),
    )

    row = by_handle(list_backbones(tmp_path, "hub")).pop("hub:local")

    assert row.measured.views_per_second == 50
    assert (row.measured.side, row.measured.engine) == (8, "tensorflow")
    assert "50 at 8 px (tensorflow, float32)" in draw_table([row])


@pytest.mark.parametrize(
    "made", [built(host="another"), built(seconds=0.5)], ids=["host", "short"]
)
def test_no_speed_is_better_than_a_wrong_one(tmp_path, made):
    """Of another machine, or of a pass too short, there is none."""
    (tmp_path / "caches").mkdir()
    write_drawn_cache(
        tmp_path / "caches" / "a.h5", backbone="hub:local", provenance=made
    )

    row = by_handle(list_backbones(tmp_path, "hub")).pop("hub:local")

    assert row.measured is None


def test_the_command_prints_one_object(run_command):
    """`--json` is the list; the hint of more goes to stderr."""
    done = run_command("backbones", "--json", "--kind", "hub")

    (row,) = json.loads(done.stdout)["backbones"]
    assert row["handle"].startswith("hub:https://tfhub.dev/google/imagenet")
    assert (row["side"], row["feature_dim"]) == (224, 1792)
