"""The dataset and the backbone that were asked for, without fetching them.

Runs in the child process. What is there is opened as a build would open it;
of what is not, it is said where a build would fetch it.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from urllib.parse import urlsplit

from embed.disk import count_bytes
from embed.doctor.offline import call_offline
from embed.doctor.prepared import find_data_dir
from embed.doctor.rates import find_sides
from embed.doctor.subject import Subject
from embed.presets import HUB_MODULE

if TYPE_CHECKING:
    from embed.backbones import Backbone
    from embed.backbones import BackboneRequest
    from embed.sources import SourceRequest

TFDS, HF, KERAS = "tfds", "hf", "keras:"
# TFDS says how many images a set has once it is prepared. Of this one:
# https://www.tensorflow.org/datasets/catalog/oxford_iiit_pet
KNOWN_NUM_IMAGES = {"oxford_iiit_pet": {"train": 3_680, "test": 3_669}}
# The same network, to be measured in the place of one that is not here.
STAND_INS = {f"hub:{HUB_MODULE}": f"{KERAS}MobileNetV2?alpha=1.4"}
MOST_CONVERTED_BYTES = 1_000_000_000  # Written and removed: some seconds.
MOST_BYTES = 5_000_000_000  # TFDS reads all of it for ids: a minute or so.
TRIAL_SECONDS = 1.0
NUM_TRIAL_IMAGES = 32  # As many as the reference runs in a batch.


def look_at_views(subject: Subject) -> dict[str, Any]:
    """Returns the sizes of the views, in pixels.

    Raises:
        PipelineError: If a build would be refused.
    """
    from embed.views import parse_views

    return {"sides": find_sides(parse_views(subject.views))}


def look_at_dataset(subject: Subject) -> dict[str, Any]:
    """Returns how many images there are, and what would be fetched.

    Raises:
        PipelineError: If a build would be refused.
    """
    from embed.sources import SourceRequest
    from embed.sources import check_source
    from embed.sources.tfds import find_builder

    request = SourceRequest(
        dataset=subject.dataset,
        data_dir=subject.data_dir,
        labels=subject.labels,
        label_from=subject.label_from,
        train_split=subject.train_split,
        test_split=subject.test_split,
        limit=subject.limit,
    ).anchored()
    refusal, urls = call_offline(lambda: check_source(request))
    if refusal is not None and not urls:
        raise refusal
    if request.kind == TFDS and not urls:
        builder = find_builder(request.name, request.data_dir)
        if not builder.is_prepared():
            return _look_at_unprepared(builder, request)
        if builder.info.dataset_size > MOST_BYTES:
            counts = _count_examples(builder, request)
            return {"num_images": counts, "urls": []}
    if _is_converted(request):
        if count_bytes(Path(request.name)) > MOST_CONVERTED_BYTES:
            return {"num_images": None, "urls": []}
        with tempfile.TemporaryDirectory() as folder:
            return _open(request.model_copy(update={"data_dir": folder}))
    return _open(request)


def _open(request: "SourceRequest") -> dict[str, Any]:
    """Counts the images of a dataset, or says what would be fetched."""
    from embed.sources import open_source

    source, urls = call_offline(lambda: open_source(request))
    if not isinstance(source, Exception):
        counts = {name: len(i.labels) for name, i in source.splits.items()}
        return {"num_images": counts, "urls": []}
    if not urls:
        raise source
    return {"num_images": None, "urls": urls, "fetched_bytes": 0}


def look_at_backbone(subject: Subject) -> dict[str, Any]:
    """Loads the backbone if it is here, and measures how fast it is.

    Raises:
        PipelineError: If a build would be refused.
    """
    from embed.backbones import BackboneRequest
    from embed.backbones import load_backbone
    from embed.backbones.request import DEFAULT_WEIGHTS

    side = subject.image_size
    request = BackboneRequest(
        handle=subject.backbone,
        weights=subject.weights or DEFAULT_WEIGHTS,
        image_size=(side, side) if side else None,
        cut=subject.cut,
    ).anchored()
    if not (urls := _find_missing_module(request)):
        backbone, urls = call_offline(lambda: load_backbone(request))
        if not isinstance(backbone, Exception):
            facts = _measure(backbone, subject) | {"measured": request.handle}
            return {"urls": [], "is_loaded": True, **facts}
        if not urls:
            raise backbone
    missing = {"urls": urls, **_find_keeping(request)}
    stand_in = STAND_INS.get(request.handle, request.handle)
    if not stand_in.startswith(KERAS):
        return missing
    # The speed does not depend on the weights.
    request = request.model_copy(
        update={"handle": stand_in, "weights": "random"}
    )
    facts = _measure(load_backbone(request), subject) | {"measured": stand_in}
    return {**missing, "is_loaded": False, **facts}


def _is_converted(request: "SourceRequest") -> bool:
    """Tells whether opening a dataset would write all of it once more.

    `datasets` does that with Parquet files, in a folder of its own.
    """
    from embed.sources.hf_loading import SAVED_FILES

    path = Path(request.name)
    is_saved = any((path / name).is_file() for name in SAVED_FILES)
    return request.kind == HF and request.is_local and not is_saved


def _count_examples(builder: Any, request: "SourceRequest") -> dict[str, int]:
    """Returns how many images there are, without reading any."""
    counts = {
        split: builder.info.splits[name].num_examples
        for split, name in request.split_names.items()
    }
    return _limit(counts, request)


def _limit(counts: dict[str, int], request: "SourceRequest") -> dict[str, int]:
    """Returns how many of so many images a build takes."""
    most = request.limit
    return {s: n if most is None else min(n, most) for s, n in counts.items()}


def _look_at_unprepared(
    builder: Any, request: "SourceRequest"
) -> dict[str, Any]:
    """Returns what TFDS would fetch; what it would prepare is about as much."""
    from embed.sources.tfds import PROBE_URL

    fetched = {url: int(i.size) for url, i in builder.url_infos.items()}
    hosts = {urlsplit(url).netloc: url for url in fetched}
    is_usual = not (request.train_split or request.test_split)
    known = KNOWN_NUM_IMAGES.get(builder.name) if is_usual else None
    return {
        "num_images": _limit(known, request) if known else None,
        "urls": [PROBE_URL, *hosts.values()],
        "fetched_bytes": sum(fetched.values()),
        "folder": str(find_data_dir(request.data_dir)),
    }


def _find_missing_module(request: "BackboneRequest") -> list[str]:
    """Returns the address of a module of TF-Hub that is not kept here.

    It is not tried: the hub waits for minutes where another fetches it.
    """
    from embed.backbones.hub_folder import find_module_dir
    from embed.backbones.hub_folder import is_kept
    from embed.doctor.hub_cache import find_address

    address = find_address(request.handle)
    if not address:
        return []
    return [] if is_kept(find_module_dir(address)) else [address]


def _find_keeping(request: "BackboneRequest") -> dict[str, str]:
    """Returns the folder where what is fetched is kept, and how to name it.

    Of Keras there is none to check: it takes another where its own cannot be
    written. What Hugging Face fetches is left to it.
    """
    from embed.backbones import hub_folder
    from embed.backbones import kaggle
    from embed.backbones.handle import HUB
    from embed.backbones.handle import KAGGLE
    from embed.backbones.handle import KERAS_HUB
    from embed.backbones.handle import parse_handle

    handle = parse_handle(request.handle)
    if handle.kind == HUB:
        folder, variable = hub_folder.find_folder(), hub_folder.CACHE_VARIABLE
    elif handle.kind == KAGGLE or (
        handle.kind == KERAS_HUB and not handle.place.startswith("hf://")
    ):
        folder, variable = kaggle.find_folder(), kaggle.CACHE_VARIABLE
    else:
        return {}
    return {"folder": str(folder), "variable": variable}


def _measure(backbone: "Backbone", subject: Subject) -> dict[str, Any]:
    """Runs a backbone for a second, on the first engine that can."""
    import numpy as np

    from embed.engines import create_engine
    from embed.engines import list_candidates
    from embed.engines.choice import measure_rate

    height, width = backbone.image_size
    images = np.random.default_rng(0).random(
        (NUM_TRIAL_IMAGES, height, width, 3), np.float32
    )
    facts: dict[str, Any] = {
        "feature_dim": backbone.feature_dim,
        "image_size": height,
    }
    precision = subject.precision
    for name in list_candidates(subject.engine, precision):
        try:
            engine = create_engine(name, backbone, precision)
            engine(images[:1])
        except Exception:  # noqa: S112  As in a build, the next is tried.
            continue
        rate = measure_rate(engine, images, TRIAL_SECONDS)
        return facts | {"engine": name, "rate": rate}
    return facts
