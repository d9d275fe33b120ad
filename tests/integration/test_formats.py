"""Each format of an export, alone with its own runtime.

The programs below are what a user would write. They run in a fresh process
and another folder, after the backbone's source was deleted.
"""

import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones.hub import load_hub_backbone
from embed.building.request import BuildRequest
from embed.errors import SourceError
from embed.extract import build_cache
from embed.images import ImageDecoder
from embed.origin import load_backbone_of
from embed.sources import SourceRequest
from embed.splits import Selection
from head import cli
from head.evaluating.evaluate import logits_of_features
from head.evaluating.metrics import softmax
from head.exporting.export import export_full_model
from head.exporting.export import export_stitched
from head.exporting.formats import FORMATS
from head.exporting.formats import FormatError
from head.exporting.fresh import FreshProcess
from head.exporting.full_model import FullModel
from head.exporting.gate import Gate
from head.exporting.parity import ParityError
from head.exporting.parity import draw_parity_sample
from head.exporting.score import draw_scoring_sample
from head.refit import train_run
from head.spec import HeadSpec
from head.stitch import stitch
from tests.conftest import CLASS_NAMES
from tests.conftest import TINY_SIZE
from tests.conftest import save_module
from tests.conftest import tiny_kernel
from tests.conftest import write_pictures
from tests.stopping_console import StoppingConsole

# Every kind of head, so that every format meets every operation.
MEMBERS = (
    HeadSpec(epochs=40, learning_rate=0.05, normalization="sqrt"),
    HeadSpec(epochs=40, learning_rate=0.05, normalization="standardize"),
    HeadSpec(epochs=20, learning_rate=0.05, hidden_units=5, batch_size=8),
    HeadSpec(epochs=20, learning_rate=0.1, normalization="l2", temperature=0.1),
)
ENSEMBLE = MEMBERS[0].model_copy(update={"others": MEMBERS[1:]})
DOCUMENTS = {"labels.txt", "preprocessing.json", "README.md"}
FLOAT_FORMATS = [name for name in FORMATS if not FORMATS[name].is_quantized]
FROZEN_FORMATS = ("tflite", "tflite-int8", "onnx", "openvino")

SAVEDMODEL = """
import tensorflow as tf

serve = tf.saved_model.load(path).signatures["serving_default"]
answer = serve(images=tf.constant(images))
labels = [name.decode() for name in answer["class_names"].numpy()]
answers = answer["probabilities"].numpy()
assert labels == [names[row.argmax()] for row in answers]
"""
KERAS = """
import keras
import embed.backbones.hub

model = keras.models.load_model(path)
answers = keras.ops.softmax(model.predict_on_batch(images)).numpy()
ours.remove("embed")  # The layer that holds a module of TF-Hub.
"""
TFLITE = """
from ai_edge_litert.interpreter import Interpreter

run = Interpreter(model_path=path).get_signature_runner()
answers = np.concatenate([run(images=i[None])["probabilities"] for i in images])
assert "tensorflow" not in sys.modules
"""
ONNX = """
import onnxruntime

session = onnxruntime.InferenceSession(path)
(answers,) = session.run(["probabilities"], {"images": images})
assert "tensorflow" not in sys.modules
"""
OPENVINO = """
import openvino

float32 = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.compile_model(path, "CPU", float32)
answers = model({"images": images})["probabilities"]
assert "tensorflow" not in sys.modules
"""
PROGRAMS = {
    "savedmodel": SAVEDMODEL,
    "keras": KERAS,
    "tflite": TFLITE,
    "tflite-int8": TFLITE,
    "onnx": ONNX,
    "openvino": OPENVINO,
}
FRAME = """
import sys
import numpy as np

ours = {{"embed", "head", "tune"}}
path, folder = sys.argv[1:]
images = np.load(f"{{folder}}/images.npy")
names = open(f"{{folder}}/labels.txt", encoding="utf-8").read().splitlines()
{program}
assert not ours & sys.modules.keys()
np.save(f"{{folder}}/answers.npy", answers)
"""


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """Where pictures, backbone and artifacts of these tests lie."""
    return tmp_path_factory.mktemp("formats")


@pytest.fixture(name="cache", scope="module")
def _cache(folder, tiny_module_dir):
    """The tiny cache, on a backbone of its own."""
    write_pictures(folder / "pictures")
    shutil.copytree(tiny_module_dir, folder / "module")
    return build(folder, folder / "artifacts")


@pytest.fixture(name="run", scope="module")
def _run(cache, folder):
    """A finished run of an ensemble."""
    return train_run(
        cache, ENSEMBLE, seed=0, artifacts_dir=folder / "artifacts"
    )


@pytest.fixture(name="plain", scope="module")
def _plain(cache, run):
    """Its stitched model."""
    return stitch(load_backbone_of(cache), run.load_head())


@pytest.fixture(name="export", scope="module")
def _export(run, cache, folder):
    """Its export in every format."""
    for of in FORMATS.values():
        for package in of.packages:
            pytest.importorskip(package)
    return export_full_model(
        run, cache, artifacts_dir=folder / "artifacts", formats=list(FORMATS)
    )


@pytest.fixture(name="export_again")
def _export_again(export, run, cache, tmp_path, plain):
    """Exports formats beside a copy of the export of all of them.

    Takes their names and, by name, other models to write: `model`, and
    `plain`, of which the frozen formats are made.
    """
    shutil.copytree(export.directory, tmp_path / "models" / run.directory.name)

    def again(*formats, model=plain, plain=plain, **options):
        return export_stitched(
            model,
            plain,
            run,
            cache,
            artifacts_dir=tmp_path,
            formats=formats,
            **options,
        )

    return again


@pytest.fixture(name="refuse")
def _refuse(export_again, export, run, cache, tmp_path):
    """Tells that a model with a fault passes neither in memory nor in a file.

    Takes a function of images, backbone and head to logits. The export of
    before stays as it was.
    """

    def refuse(plant):
        backbone, head = load_backbone_of(cache).model, run.load_head()
        images = keras.Input((*TINY_SIZE, 3))
        faulty = keras.Model(images, plant(images, backbone, head))

        with pytest.raises(ParityError, match=r"stitched .* on cached"):
            export_again("tflite", model=faulty, plain=faulty)
        with pytest.raises(ParityError, match=r"tflite .* on cached"):
            export_again("tflite", plain=faulty)

        directory = tmp_path / "models" / run.directory.name
        assert contents(directory) == contents(export.directory)

    return refuse


def build(folder, artifacts_dir, **fields):
    """Builds a cache of the pictures in a folder with the module there."""
    request = BuildRequest(
        source=SourceRequest(dataset=f"folder:{folder / 'pictures'}"),
        backbone=BackboneRequest(
            handle=f"hub:{folder / 'module'}", image_size=TINY_SIZE
        ),
        engine="tensorflow",
        **fields,
    )
    return build_cache(request, artifacts_dir=artifacts_dir).cache


def contents(directory):
    """Returns the bytes of each file of a folder by path in it."""
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture(name="full_model", scope="module")
def _full_model(plain, cache, export):
    """The model with the documents that all formats hold."""
    documents = {
        path.name: path.read_text("utf-8")
        for path in (export.directory / "saved_model" / "assets").iterdir()
    }
    return FullModel(
        model=plain,
        plain=plain,
        is_mirrored_too=False,
        documents=documents,
        cache=cache,
    )


@pytest.fixture(name="gate", scope="module")
def _gate(full_model, run, cache):
    """What its files must pass."""
    head, test = run.load_head(), cache.take(Selection("test"))
    return Gate(
        cache=cache,
        sample=draw_parity_sample(
            cache,
            lambda features: logits_of_features(head, features[:, :1]),
            ["plain"],
        ),
        test=draw_scoring_sample(
            cache, logits_of_features(head, test.features[:, :1]), ["plain"]
        ),
        documents=full_model.documents,
    )


@pytest.fixture(name="alone")
def _alone(export, cache, folder, tmp_path):
    """A copy of the export, and test images; the backbone is gone meanwhile."""
    directory = tmp_path / "alone"
    shutil.copytree(export.directory, directory)
    decode = ImageDecoder(TINY_SIZE)
    paths = [
        folder / "pictures" / "test" / image_id
        for image_id in cache.image_ids("test")
    ]
    images = np.stack([decode(path.read_bytes()) for path in paths])
    np.save(directory / "images.npy", images)
    (folder / "module").rename(folder / "elsewhere")
    yield directory
    (folder / "elsewhere").rename(folder / "module")


def head_probabilities(run, cache, num_views=1):
    """Returns what the cached head says of the test split."""
    features = cache.take(Selection("test")).features[:, :num_views]
    return softmax(logits_of_features(run.load_head(), features))


@pytest.mark.parametrize("name", FLOAT_FORMATS)
def test_a_float_format_answers_what_the_head_answers(export, name):
    """Every first class of the test split, probabilities within 1e-3."""
    scored = export.scores[name]

    assert scored.top1_agreement == 1.0
    assert scored.max_probability_diff <= 1e-3
    assert scored.top1 == scored.head_top1
    assert (scored.num_images, scored.num_test) == (12, 12)


def test_8_bits_cost_two_points_at_most(export):
    """It is nearly as accurate, and not the same."""
    scored = export.scores["tflite-int8"]

    assert scored.top1 >= scored.head_top1 - 0.02
    assert scored.max_probability_diff > 1e-3


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_answers_alone(alone, run, cache, tmp_path, name):
    """With its runtime alone, elsewhere, the backbone's source deleted."""
    program = FRAME.format(program=PROGRAMS[name])
    path = alone / FORMATS[name].files[0]

    process = subprocess.run(
        [sys.executable, "-I", "-c", program, path, alone],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert process.returncode == 0, process.stderr
    answers = np.load(alone / "answers.npy")
    expected = head_probabilities(run, cache)
    atol = 0.3 if FORMATS[name].is_quantized else 1e-3
    np.testing.assert_allclose(answers, expected, atol=atol)
    np.testing.assert_array_equal(answers.argmax(-1), expected.argmax(-1))


def test_every_format_has_labels_preprocessing_and_card_inside(export):
    """Each where that format keeps such things, readable by any program."""
    folder = export.directory
    onnx = pytest.importorskip("onnx")
    properties = onnx.load(folder / "model.onnx").metadata_props
    (section,) = ElementTree.parse(folder / "model.xml").iter("headstart")  # noqa: S314
    inside = {
        "savedmodel": {
            path.name: path.read_text("utf-8")
            for path in (folder / "saved_model" / "assets").iterdir()
        },
        "onnx": {entry.key: entry.value for entry in properties},
        "openvino": {entry.tag: entry.get("value") for entry in section},
    }
    for name in ("keras", "tflite", "tflite-int8"):
        with zipfile.ZipFile(folder / FORMATS[name].files[0]) as archive:
            inside[name] = {
                document: archive.read(document).decode()
                for document in DOCUMENTS
            }

    assert inside.keys() == FORMATS.keys()
    for documents in inside.values():
        assert documents.keys() == DOCUMENTS
        assert documents == inside["keras"]
        assert documents["labels.txt"].splitlines() == list(CLASS_NAMES)
        preprocessing = json.loads(documents["preprocessing.json"])
        assert preprocessing["resize"]["size"] == list(TINY_SIZE)
        assert "## Limits" in documents["README.md"]


def test_the_card_beside_them_has_the_parity_table(export):
    """A row a format, and the card that is inside of each."""
    text = (export.directory / "README.md").read_text("utf-8")
    inside = zipfile.ZipFile(export.directory / "model.keras")

    assert text.startswith(inside.read("README.md").decode())
    for name, of in FORMATS.items():
        (row,) = [
            line for line in text.splitlines() if line.startswith(f"| {name} ")
        ]
        assert of.files[0] in row
        assert f"{export.scores[name].top1:.2%}" in row


def test_the_record_has_every_figure(export):
    """`parity.json` has what the gate measured and what the test split says."""
    record = json.loads((export.directory / "parity.json").read_text("utf-8"))

    assert record.keys() == {"stitched", *FORMATS}
    for name, path in export.formats.items():
        size = record[name]["num_bytes"]
        assert size >= (path.stat().st_size if path.is_file() else 10_000)
        assert record[name]["test"]["top1"] == export.scores[name].top1
    assert export.worst.max_abs_diff <= export.worst.tolerance
    assert export.worst.top1_agreement == 1.0


def test_the_mirror_is_built_into_frozen_formats(run, cache, tmp_path):
    """With `tta` they answer the mean over both cached views."""
    export = export_full_model(
        run,
        cache,
        artifacts_dir=tmp_path,
        formats=FROZEN_FORMATS,
        is_averaged=True,
    )

    plain, mean = (head_probabilities(run, cache, n) for n in (1, 2))
    assert np.abs(plain - mean).max() > 0.01
    assert export.directory.name.endswith("-tta")
    for name in ("tflite", "onnx", "openvino"):
        assert export.scores[name].max_probability_diff <= 1e-3


def test_other_weights_are_refused(refuse, tmp_path):
    """As of a backbone that was trained further since."""
    noise = np.random.default_rng(0).normal(0, 0.01, (192, 4))
    other = tiny_kernel() + noise.astype(np.float32)
    save_module(other, tmp_path / "other")
    backbone = load_hub_backbone(str(tmp_path / "other"), TINY_SIZE).model

    refuse(lambda images, _, head: head(backbone(images)))


def test_missing_scaling_is_refused(refuse):
    """Pixels of 0 to 255 go into a backbone that was given 0 to 1."""
    refuse(lambda images, backbone, head: head(backbone(255.0 * images)))


def test_a_mirrored_input_is_refused(refuse):
    """The backbone sees each picture the wrong way round."""
    refuse(
        lambda images, backbone, head: head(
            backbone(keras.ops.flip(images, axis=2))
        )
    )


def test_a_wrong_order_of_classes_is_refused(refuse):
    """The logits are right, each in the place of another."""
    refuse(
        lambda images, backbone, head: keras.ops.roll(
            head(backbone(images)), 1, axis=-1
        )
    )


@pytest.mark.parametrize(
    "rounded", [{"precision": "bfloat16"}, {"dtype": "float16"}]
)
def test_what_the_cache_rounds_is_not_held_against_a_file(
    folder, tmp_path, rounded
):
    """It is compared with the stitched model, which the gate let pass."""
    cache = build(folder, tmp_path, **rounded)
    run = train_run(cache, MEMBERS[0], seed=0, artifacts_dir=tmp_path)

    export = export_full_model(
        run, cache, artifacts_dir=tmp_path, formats=["tflite"]
    )

    scored, gated = export.scores["tflite"], export.parity["tflite"]
    assert scored.reference == "stitched"
    assert scored.max_probability_diff < 1e-5 < gated.max_abs_diff
    card = (export.directory / "README.md").read_text("utf-8")
    assert "compared with the stitched model in float32" in card


def test_documents_of_another_model_are_refused(
    export, full_model, gate, tmp_path
):
    """As labels in another order would be."""
    labels = "".join(f"{name}\n" for name in reversed(CLASS_NAMES))
    other = {**full_model.documents, "labels.txt": labels}
    of, path = FORMATS["onnx"], tmp_path / "model.onnx"
    of.write(dataclasses.replace(full_model, documents=other), path)

    with pytest.raises(ParityError, match="other documents"):
        gate.check_file(of, path)


def test_what_falls_short_is_left_out_and_the_rest_is_written(
    export_again, export, plain
):
    """Of the format that was refused, the sound one of before stays."""
    images = keras.Input((*TINY_SIZE, 3))
    faulty = keras.Model(images, -plain(images))

    again = export_again("keras", "tflite", plain=faulty)

    assert again.formats.keys() == {"keras"}
    assert again.refused.keys() == {"tflite"}
    assert "is not exported" in again.refused["tflite"]
    assert again.record.keys() == {"stitched", *FORMATS}
    names = [f for of in FORMATS.values() for f in of.files if f[0] == "m"]
    before, after = contents(export.directory), contents(again.directory)
    assert set(map(str, after)) == set(map(str, before))
    for name in set(names) - {"model.keras"}:
        assert after[Path(name)] == before[Path(name)]


def test_formats_of_another_head_are_not_kept(export_again, tmp_path, run):
    """A run that was trained again has the name that it had before."""
    path = tmp_path / "models" / run.directory.name / "parity.json"
    record = json.loads(path.read_text("utf-8"))
    record["onnx"]["head_digest"] = "another"
    path.write_text(json.dumps(record), "utf-8")

    again = export_again("tflite")

    assert again.record.keys() == {"stitched", *FORMATS} - {"onnx"}
    assert not (again.directory / "model.onnx").exists()


def test_an_interrupted_export_leaves_the_old_one(
    export_again, export, tmp_path, run
):
    """After one of two formats nothing has been replaced yet."""
    with pytest.raises(KeyboardInterrupt):
        export_again("tflite", "onnx", console=StoppingConsole(2))

    directory = tmp_path / "models" / run.directory.name
    assert contents(directory) == contents(export.directory)
    assert list(directory.parent.glob("*.part")) == []


def test_a_changed_test_picture_is_refused(export_again, folder):
    """What is scored are the very pictures that the cache was built from."""
    path = folder / "pictures" / "test" / "dog" / "01.png"
    content = path.read_bytes()
    path.write_bytes((folder / "pictures/test/cat/01.png").read_bytes())

    with pytest.raises(SourceError, match=r"dog/01\.png has changed"):
        export_again("tflite")

    path.write_bytes(content)


def test_a_large_test_split_is_scored_by_sample(export_again, monkeypatch):
    """At most so many pictures, and the table says of how many."""
    monkeypatch.setattr("head.exporting.score.NUM_IMAGES", 5)

    again = export_again("tflite")

    scored = again.scores["tflite"]
    assert (scored.num_images, scored.num_test) == (5, 12)
    assert (
        "On 5 of 12 test pictures"
        in (again.directory / "README.md").read_text()
    )


def test_what_a_runtime_says_of_a_broken_file_is_passed_on(tmp_path):
    """A file that cannot be opened is no traceback."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")

    with (
        pytest.raises(FormatError, match=r"runtime of onnx .* model\.onnx: .+"),
        FreshProcess("onnx", path),
    ):
        pass


def test_the_command_ends_with_an_error_where_one_falls_short(
    run, cache, folder, monkeypatch, capfd
):
    """It prints what was written, and then why the other was not."""
    # Better by a point.
    monkeypatch.setattr("head.exporting.score.MAX_LOSS", -1.0)
    where = ["--run", run.directory, "--cache", cache.path]
    formats = ["--format", "tflite,tflite-int8", "--artifacts", folder / "else"]

    with pytest.raises(SystemExit) as ended:
        cli.app(["export-full-model", *map(str, where + formats), "--json"])

    out, err = capfd.readouterr()
    answer = json.loads(out)
    assert ended.value.code == 1
    assert answer["formats"].keys() == {"tflite"} == answer["scores"].keys()
    assert answer["refused"].keys() == {"tflite-int8"}
    assert answer["parity"]["top1_agreement"] == 1.0
    last = err.splitlines()[-1]
    assert last.startswith("error: The tflite-int8 model is not accurate")
    assert "--format" in last


def test_a_missing_runtime_is_named_before_anything_else(
    tmp_path, monkeypatch, capfd
):
    """There is not even a run, and the error is of what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    words = ["export-full-model", "--format", "keras,onnx", "--artifacts"]

    with pytest.raises(SystemExit) as ended:
        cli.app([*words, str(tmp_path)])

    _, err = capfd.readouterr()
    assert ended.value.code == 1
    assert "onnx needs onnxruntime" in err
    assert "'headstart[export]'" in err
    assert "--format keras" in err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_a_usage_error(tmp_path, capfd):
    """Exit code 2, with all that there are."""
    words = ["export-full-model", "--format", "onnx,coreml", "--artifacts"]

    with pytest.raises(SystemExit) as ended:
        cli.app([*words, str(tmp_path)])

    _, err = capfd.readouterr()
    assert ended.value.code == 2
    assert "coreml" in err
    assert "tflite-int8" in " ".join(err.split())
