"""A program that answers pictures by the runtime of one format, and no other.

    python -P runtimes.py FORMAT PATH

It reads batches from stdin and writes answers to stdout, as messages: an
8-byte number of parts, then of each part its 8-byte length and its bytes.

first answer    the documents that the file holds, JSON: text by name
a batch         `pixels` and one array, float32 `(batch, height, width, 3)` in
                [0, 1]; or `encoded` and the bytes of each picture
an answer       logits, probabilities where the format has them, and last the
                seconds that it took; arrays are bytes of `.npy` files

Nothing of Headstart can be imported but the layer that a `.keras` file on a
`hub:` backbone asks for, and no TensorFlow where a format needs none.
"""

import io
import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import IO
from typing import Any

import numpy as np

PIXELS, ENCODED = b"pixels", b"encoded"
HEADSTART = ("embed", "head", "tune")
DOCUMENTS = ("labels.txt", "preprocessing.json", "README.md")
LENGTH = struct.Struct("<Q")

Pictures = np.ndarray | list[bytes]
Documents = dict[str, str]
Answer = Callable[[Any], list[np.ndarray]]


def open_saved_model(path: Path) -> tuple[Documents, Answer]:
    """Opens a SavedModel, whose signatures take pixels and encoded pictures."""
    _forbid(*HEADSTART, "keras")
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve, serve_bytes = (
        loaded.signatures[name] for name in ("serving_default", "serve_bytes")
    )

    def answer(pictures: Pictures) -> list[np.ndarray]:
        if isinstance(pictures, list):
            found = serve_bytes(encoded=tf.constant(pictures))
        else:
            found = serve(images=tf.constant(pictures))
        return [found[name].numpy() for name in ("logits", "probabilities")]

    files = [path / "assets" / name for name in DOCUMENTS]  # Of ours, not all.
    return {f.name: f.read_text("utf-8") for f in files if f.is_file()}, answer


def open_keras(path: Path) -> tuple[Documents, Answer]:
    """Opens a `.keras` file in Keras's safe mode."""
    with zipfile.ZipFile(path) as archive:
        is_hub = b'"headstart>' in archive.read("config.json")
    _forbid(*(("head", "tune") if is_hub else HEADSTART))
    import keras

    if is_hub:
        import embed.backbones.hub  # noqa: F401  # Registers its layer.
    model = keras.models.load_model(path, safe_mode=True)
    return _read_attached(path), lambda images: [model.predict_on_batch(images)]


def open_tflite(path: Path) -> tuple[Documents, Answer]:
    """Opens a `.tflite` file, which takes one image a call."""
    _forbid(*HEADSTART, "tensorflow", "keras")
    from ai_edge_litert.interpreter import Interpreter

    num_threads = len(os.sched_getaffinity(0))
    interpreter = Interpreter(model_path=str(path), num_threads=num_threads)
    run = interpreter.get_signature_runner("serving_default")

    def answer(images: np.ndarray) -> list[np.ndarray]:
        found = [run(images=image[None]) for image in images]
        return [
            np.concatenate([one[name] for one in found])
            for name in ("logits", "probabilities")
        ]

    return _read_attached(path), answer


def open_onnx(path: Path) -> tuple[Documents, Answer]:
    """Opens an `.onnx` file on the processor."""
    _forbid(*HEADSTART, "tensorflow", "keras")
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    documents = session.get_modelmeta().custom_metadata_map
    outputs = ["logits", "probabilities"]
    return documents, lambda images: session.run(outputs, {"images": images})


def open_openvino(path: Path) -> tuple[Documents, Answer]:
    """Opens an `.xml` file, to be computed in float32."""
    _forbid(*HEADSTART, "tensorflow", "keras")
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    documents = {
        name: model.get_rt_info(["headstart", name]).astype(str)
        for name in model.get_rt_info(["headstart"]).astype(dict)
    }
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", config)

    def answer(images: np.ndarray) -> list[np.ndarray]:
        found = compiled({"images": images})
        return [found["logits"], found["probabilities"]]

    return documents, answer


OPENERS = {
    "savedmodel": open_saved_model,
    "keras": open_keras,
    "tflite": open_tflite,
    "tflite-int8": open_tflite,
    "onnx": open_onnx,
    "openvino": open_openvino,
}


def write_message(stream: IO[bytes], parts: Iterable[bytes]) -> None:
    """Writes a message."""
    parts = list(parts)
    stream.write(LENGTH.pack(len(parts)))
    for part in parts:
        stream.write(LENGTH.pack(len(part)))
        stream.write(part)
    stream.flush()


def read_message(stream: IO[bytes]) -> list[bytes] | None:
    """Reads a message, `None` where there is no more."""
    try:
        return [
            _read(stream, _read_length(stream))
            for _ in range(_read_length(stream))
        ]
    except EOFError:
        return None


def pack_array(array: np.ndarray) -> bytes:
    """Returns the bytes of a `.npy` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def unpack_array(content: bytes) -> np.ndarray:
    """Returns the array that `pack_array` packed."""
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def main() -> None:
    """Answers until there are no more pictures."""
    name, path = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # For what libraries print.
    documents, answer = OPENERS[name](Path(path))
    write_message(answers, [json.dumps(documents).encode()])
    while (message := read_message(sys.stdin.buffer)) is not None:
        kind, *parts = message
        pictures = parts if kind == ENCODED else unpack_array(parts[0])
        began = time.perf_counter()
        arrays = answer(pictures)
        seconds = np.array(time.perf_counter() - began)
        write_message(answers, map(pack_array, (*arrays, seconds)))


def _forbid(*packages: str) -> None:
    """Makes the import of packages an error."""
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment]


def _read_attached(path: Path) -> Documents:
    """Returns the documents in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        return {
            name: archive.read(name).decode()
            for name in archive.namelist()
            if name in DOCUMENTS
        }


def _read_length(stream: IO[bytes]) -> int:
    (length,) = LENGTH.unpack(_read(stream, LENGTH.size))
    return int(length)


def _read(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


if __name__ == "__main__":
    main()
