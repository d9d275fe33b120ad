"""The dataset and the backbone that were asked for, without fetching them.

Runs in the child process. What is there is opened as a build would open it;
of what is not, it is said where a build would fetch it.
"""

import time
from typing import TYPE_CHECKING
from typing import Any
from urllib.parse import urlsplit

from embed.doctor.offline import call_offline
from embed.doctor.prepared import find_data_dir
from embed.doctor.rates import count_work
from embed.doctor.subject import Subject
from embed.presets import HUB_MODULE

if TYPE_CHECKING:
    from embed.backbones import Backbone
    from embed.backbones import BackboneRequest

TFDS, HUB, KERAS = "tfds:", "hub:", "keras:"
# TFDS says how many images a set has once it is prepared. Of this one:
# https://www.tensorflow.org/datasets/catalog/oxford_iiit_pet
KNOWN_NUM_IMAGES = {"oxford_iiit_pet": {"train": 3_680, "test": 3_669}}
# The same network, to be measured in the place of one that is not here.
STAND_INS = {f"{HUB}{HUB_MODULE}": f"{KERAS}MobileNetV2?alpha=1.4"}
TRIAL_SECONDS = 1.0
NUM_TRIAL_IMAGES = 32  # As many as the reference runs in a batch.


def look_at_dataset(subject: Subject) -> dict[str, Any]:
    """Returns how many images there are, and what would be fetched.

    Raises:
        PipelineError: If a build would be refused.
    """
    from embed.views import parse_views

    views = parse_views(subject.views)
    facts: dict[str, Any] = {
        "num_views": len(views),
        "work": count_work(views, subject.image_size),
        "num_images": None,
        "urls": [],
        "fetched_bytes": 0,
    }
    if subject.dataset.startswith(TFDS):
        return facts | _look_at_tfds(subject)
    from embed.sources import SourceRequest
    from embed.sources import open_source

    request = SourceRequest(dataset=subject.dataset, data_dir=subject.data_dir)
    source, urls = call_offline(lambda: open_source(request.anchored()))
    if isinstance(source, Exception):
        if not urls:
            raise source
        return facts | {"urls": urls}
    counts = {name: len(i.labels) for name, i in source.splits.items()}
    return facts | {"num_images": counts}


def look_at_backbone(subject: Subject) -> dict[str, Any]:
    """Loads the backbone if it is here, and measures how fast it is.

    Raises:
        PipelineError: If a build would be refused.
    """
    from embed.backbones import BackboneRequest
    from embed.backbones import load_backbone

    request = BackboneRequest(
        handle=subject.backbone,
        weights=subject.weights,
        image_size=(subject.image_size, subject.image_size),
    ).anchored()
    if not (urls := _find_missing_module(request)):
        backbone, urls = call_offline(lambda: load_backbone(request))
        if not isinstance(backbone, Exception):
            facts = _measure(backbone) | {"measured": request.handle}
            return {"urls": [], "is_loaded": True, **facts}
        if not urls:
            raise backbone
    stand_in = STAND_INS.get(request.handle, request.handle)
    if not stand_in.startswith(KERAS):
        return {"urls": urls}
    # The speed does not depend on the weights.
    request = request.model_copy(
        update={"handle": stand_in, "weights": "random"}
    )
    facts = _measure(load_backbone(request)) | {"measured": stand_in}
    return {"urls": urls, "is_loaded": False, **facts}


def _look_at_tfds(subject: Subject) -> dict[str, Any]:
    from embed.errors import SourceError
    from embed.sources.source import SPLITS
    from embed.sources.tfds import PROBE_URL
    from embed.sources.tfds import find_builder

    name = subject.dataset.removeprefix(TFDS)
    builder, urls = call_offline(lambda: find_builder(name, subject.data_dir))
    if isinstance(builder, Exception):
        if not urls:
            raise builder
        return {"urls": urls}
    if not builder.is_prepared():
        fetched = {u: int(info.size) for u, info in builder.url_infos.items()}
        hosts = {urlsplit(url).netloc: url for url in fetched}
        return {
            "num_images": KNOWN_NUM_IMAGES.get(builder.name),
            "urls": [PROBE_URL, *hosts.values()],
            "fetched_bytes": sum(fetched.values()),
            "folder": str(find_data_dir(subject.data_dir)),
        }
    splits = builder.info.splits
    missing = [
        str(path)
        for split in SPLITS
        if split in splits
        for path in splits[split].filepaths
        if not path.exists()
    ]
    if missing:
        raise SourceError(
            f"The dataset {builder.info.full_name} lacks {len(missing)} of its "
            f"files, {missing[0]} the first. Remove {builder.data_dir}, and it "
            "is prepared again."
        )
    return {
        "num_images": {
            split: splits[split].num_examples
            for split in SPLITS
            if split in splits
        }
    }


def _find_missing_module(request: "BackboneRequest") -> list[str]:
    """Returns the address of a module that is not kept here.

    It is not tried: the hub waits for minutes where another fetches it.
    """
    from embed.doctor.hub_cache import find_folder
    from embed.doctor.hub_cache import find_module_dir

    directory = find_module_dir(find_folder(), request.handle)
    if directory is None or (directory.is_dir() and any(directory.iterdir())):
        return []
    return [request.handle.removeprefix(HUB)]


def _measure(backbone: "Backbone") -> dict[str, Any]:
    """Runs a backbone for a second, on the first engine that can."""
    import numpy as np

    from embed.engines import create_engine
    from embed.engines import list_candidates
    from embed.engines.choice import measure_rate

    height, width = backbone.image_size
    images = np.random.default_rng(0).random(
        (NUM_TRIAL_IMAGES, height, width, 3), np.float32
    )
    facts: dict[str, Any] = {"feature_dim": backbone.feature_dim}
    for name in list_candidates("auto", "float32"):
        began = time.monotonic()
        try:
            engine = create_engine(name, backbone)
            engine(images[:1])
        except Exception:  # noqa: S112  As in a build, the next is tried.
            continue
        ready = time.monotonic() - began
        rate = measure_rate(engine, images, TRIAL_SECONDS)
        return facts | {"engine": name, "rate": rate, "start_seconds": ready}
    return facts
