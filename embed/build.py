"""The building of one cache: its blocks, computed or kept, and the file."""

import contextlib
import functools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embed.backbones import Backbone
from embed.blocks import Block
from embed.blocks import BlockKey
from embed.blocks import list_blocks
from embed.blocks import read_block
from embed.blocks import write_block
from embed.build_request import BuildRequest
from embed.cache import BUILD_COMMAND
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.cache import write_cache
from embed.console import Console
from embed.devices import prepare_devices
from embed.embedder import Embedder
from embed.embedder import check_engine
from embed.engines import create_engine
from embed.errors import BadImagesError
from embed.errors import CorruptCacheError
from embed.images import digest_content
from embed.provenance import Provenance
from embed.provenance import SkippedImage
from embed.provenance import host_name
from embed.provenance import installed_versions
from embed.provenance import now
from embed.rows import StoredBlock
from embed.sources import Source
from embed.spec import CacheSpec

NUM_LISTED = 5  # Bad pictures named in the error line; stderr lists them all.


class Build:
    """The building of one cache, whose blocks outlive a kill.

    Args:
        request: What to build.
        spec: What its rows are determined by.
        source: Where the images come from.
        backbone: What embeds them.
        engine_name: What runs the backbone.
        path: Where the finished cache goes.
    """

    def __init__(
        self,
        request: BuildRequest,
        spec: CacheSpec,
        source: Source,
        backbone: Backbone,
        engine_name: str,
        path: Path,
    ) -> None:
        self._request, self._spec, self._source = request, spec, source
        self._backbone, self._engine_name = backbone, engine_name
        self._path = path
        self._build_dir = path.with_name(path.name + ".building")
        self._keys = list_blocks(
            {name: split.num_images for name, split in spec.splits.items()}
        )
        self.num_computed = 0
        self.num_decoded = 0
        self.seconds: dict[str, float] = {}

    def compute_missing(self, console: Console) -> None:
        """Computes and writes every block that is not there yet."""
        self._prepare_build_dir()
        missing = [key for key in self._keys if not self._is_done(key)]
        if not missing:
            return
        num_views = len(self._spec.views)
        total = sum(len(key.rows) for key in self._keys) * num_views
        to_do = sum(len(key.rows) for key in missing) * num_views
        if to_do < total:
            console.say(f"Resuming: {total - to_do:,} views are there already.")
        engine = create_engine(
            self._engine_name,
            self._backbone,
            self._request.batch_size,
            self._spec.precision,
        )
        embedder = Embedder(
            source=self._source,
            engine=engine,
            image_size=self._spec.image_size,
            views=self._spec.views,
            dtype=self._spec.dtype,
        )
        console.say(
            f"Embedding {to_do:,} views of {to_do // num_views:,} images with "
            f"{self._spec.backbone} on {self._engine_name}."
        )
        write_seconds = 0.0
        with console.progress(
            "Embedding", total, "views", done=total - to_do
        ) as progress:
            blocks = embedder.compute(
                missing,
                on_views=progress.advance,
                on_first_images=lambda images: check_engine(
                    engine, self._backbone, images, self._spec.precision
                ),
            )
            for key, block in blocks:
                began = time.monotonic()
                write_block(block, key.path_in(self._build_dir))
                write_seconds += time.monotonic() - began
        self.num_computed = embedder.num_computed
        self.num_decoded = embedder.num_decoded
        self.seconds = {**embedder.seconds, "write": write_seconds}

    def assemble(self, console: Console) -> FeatureCache:
        """Turns the blocks into one file and removes them.

        Raises:
            BadImagesError: If pictures could not be decoded and the request
                is to fail then. The good blocks are kept.
        """
        skipped, num_oriented = self._inspect()
        if skipped and self._request.on_error == "fail":
            for image in skipped:
                console.say(f"{image.split} {image.image_id}: {image.reason}")
            raise _bad_images(skipped)
        provenance = Provenance(
            source=self._request.source,
            backbone=self._request.backbone,
            engine=self._engine_name,
            created=now(),
            host=host_name(),
            devices=prepare_devices().describe(),
            versions=installed_versions(),
            seconds=self.seconds,
            skipped=skipped,
            num_oriented=num_oriented,
        )
        write_cache(
            self._path,
            spec=self._spec,
            provenance=provenance,
            splits={
                split: functools.partial(self._stored_blocks, split)
                for split in self._spec.splits
            },
        )
        shutil.rmtree(self._build_dir)
        return open_cache(self._path)

    def _prepare_build_dir(self) -> None:
        """Keeps blocks of the same spec; blocks of another are no use."""
        spec_path = self._build_dir / "spec.json"
        with contextlib.suppress(OSError, ValueError):
            if (
                CacheSpec.model_validate_json(spec_path.read_text())
                == self._spec
            ):
                return
        shutil.rmtree(self._build_dir, ignore_errors=True)
        self._build_dir.mkdir(parents=True)
        spec_path.write_text(self._spec.to_json())

    def _is_done(self, key: BlockKey) -> bool:
        """Tells whether a block is there, and of the pictures as they are."""
        block = read_block(key.path_in(self._build_dir))
        if block is None:
            return False
        pictures = self._source.read(key.split, list(key.rows))
        return b"".join(map(digest_content, pictures)) == (
            block.content_digests.tobytes()
        )

    def _blocks(self, split: str) -> Iterator[tuple[BlockKey, Block]]:
        for key in self._keys:
            if key.split == split:
                block = read_block(key.path_in(self._build_dir))
                if block is None:
                    raise CorruptCacheError(
                        f"Block {key.number} of {split} in {self._build_dir} "
                        "was damaged or removed while the cache was built. "
                        f"Run `{BUILD_COMMAND}` again: it computes that block."
                    )
                yield key, block

    def _inspect(self) -> tuple[tuple[SkippedImage, ...], int]:
        """Returns the bad pictures, and how many are oriented.

        Blocks with a bad picture are removed where the request is to fail,
        so that they are computed again once the picture is mended.

        Raises:
            BadImagesError: If nothing of a split would be left.
        """
        skipped: list[SkippedImage] = []
        num_oriented = 0
        for split in self._spec.splits:
            image_ids = self._source.splits[split].image_ids
            num_before = len(skipped)
            for key, block in self._blocks(split):
                num_oriented += int(block.is_oriented.sum())
                bad_rows = np.flatnonzero(~block.is_good)
                skipped += [
                    SkippedImage(
                        split=split,
                        image_id=image_ids[key.start + row],
                        reason=str(block.errors[row]),
                    )
                    for row in bad_rows
                ]
                if len(bad_rows) and self._request.on_error == "fail":
                    key.path_in(self._build_dir).unlink()
            if len(skipped) - num_before == len(image_ids):
                shutil.rmtree(self._build_dir / split)
                raise _bad_images(tuple(skipped[num_before:]))
        return tuple(skipped), num_oriented

    def _stored_blocks(self, split: str) -> Iterator[StoredBlock]:
        """Yields the good rows of each block, with labels and ids."""
        index = self._source.splits[split]
        ids = np.char.encode(np.array(index.image_ids), "utf-8")
        for key, block in self._blocks(split):
            rows = key.start + np.flatnonzero(block.is_good)
            yield StoredBlock(
                features=block.features[block.is_good],
                labels=index.labels[rows].astype(np.int32),
                image_ids=ids[rows],
                content_digests=block.content_digests[block.is_good],
            )


def _bad_images(skipped: tuple[SkippedImage, ...]) -> BadImagesError:
    named = ", ".join(
        f"{image.image_id} ({image.reason})" for image in skipped[:NUM_LISTED]
    )
    more = len(skipped) - NUM_LISTED
    return BadImagesError(
        f"{len(skipped)} pictures cannot be decoded: {named}"
        f"{f' and {more} more, listed above' if more > 0 else ''}. Expected: "
        "JPEG, PNG, BMP, GIF or WebP. The other features are kept: mend or "
        f"remove them and run `{BUILD_COMMAND}` again, or leave them out with "
        "`--on-error skip`."
    )
