"""A model of the tiny backbone, exported, with all that it was made from."""

import dataclasses
from pathlib import Path

import numpy as np

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.cache import FeatureCache
from embed.extract import build_cache
from embed.sources import SourceRequest
from embed.splits import Selection
from head.evaluating.evaluate import logits_of_features
from head.evaluating.metrics import softmax
from head.exporting.export import export_full_model
from head.refit import train_run
from head.run import Run
from head.spec import HeadSpec
from tests.conftest import TINY_SIZE
from tests.conftest import write_pictures

SPEC = HeadSpec(epochs=20, learning_rate=0.05)


@dataclasses.dataclass(frozen=True)
class TinyExport:
    """What lies in `artifacts_dir`, and the pictures it was made from.

    Args:
        pictures: Folder with `test/CLASS/NUMBER.*`.
        artifacts_dir: Where cache, run and models lie.
        cache: Both views.
        run: Its head.
        model: Folder of the export.
        tta: Folder of the export that averages both views.
    """

    pictures: Path
    artifacts_dir: Path
    cache: FeatureCache
    run: Run
    model: Path
    tta: Path

    @property
    def test_paths(self):
        """The paths of the test pictures, in the order of the cache."""
        folder = self.pictures / "test"
        return [str(folder / i) for i in self.cache.image_ids("test")]

    def expected(self, num_views=1):
        """Returns the probabilities of the test pictures, from the cache."""
        features = self.cache.take(Selection("test")).features
        head = self.run.load_head()
        logits = logits_of_features(head, features[:, :num_views])
        return softmax(np.asarray(logits))


def make_export(folder, module_dir):
    """Builds, trains and exports below a folder."""
    write_pictures(folder / "pictures")
    artifacts_dir = folder / "artifacts"
    cache = build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / 'pictures'}"),
            backbone=BackboneRequest(
                handle=f"hub:{module_dir}", image_size=TINY_SIZE
            ),
            engine="tensorflow",
        ),
        artifacts_dir=artifacts_dir,
    ).cache
    run = train_run(cache, SPEC, seed=0, artifacts_dir=artifacts_dir)

    def export(**options):
        return export_full_model(
            run, cache, artifacts_dir=artifacts_dir, **options
        ).directory

    # The plain one last: it is the newest, which commands take.
    tta = export(formats=["keras"], is_averaged=True)
    return TinyExport(
        pictures=folder / "pictures",
        artifacts_dir=artifacts_dir,
        cache=cache,
        run=run,
        model=export(),
        tta=tta,
    )
