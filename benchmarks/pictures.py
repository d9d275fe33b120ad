"""Drawn pictures: coloured clouds with detail, as large and as heavy as photos.

    FOLDER/train/class-0/000001.jpg    FOLDER/test/class-0/000000.jpg

Picture number `n` is the same in every folder, whatever else lies in it.
"""

import collections
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 256, 192  # Pixels.
NUM_CLASSES = 10
TEST_EVERY = 5  # One picture in so many goes to the test split.
QUALITY = 90  # Of the JPEG files, which have about 17 kB each.
NUM_PATCHES = 12  # Of the clouds, across the picture.
# Detail is cut at random from one texture, in octaves of noise.
TEXTURE_SIDE = 1024
OCTAVES = {512: 7.0, 256: 8.0, 128: 9.0}  # Grey levels by side.
MAX_STRENGTH = 1.6  # Of the detail; some photos are sharp, some are not.


def draw_pictures(folder: Path, num_pictures: int) -> None:
    """Draws the first pictures as JPEG files."""
    texture = _draw_texture(np.random.default_rng(0))

    def draw(number: int) -> None:
        path = folder / _name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        _draw(np.random.default_rng(number), texture).save(
            path, quality=QUALITY
        )

    with ThreadPoolExecutor() as pool:
        collections.deque(pool.map(draw, range(num_pictures)), maxlen=0)


def link_first(drawn: Path, num_pictures: int, folder: Path) -> None:
    """Makes a folder of the first pictures of one that is drawn."""
    for number in range(num_pictures):
        path = folder / _name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(drawn / _name(number), path)


def list_pictures(folder: Path, split: str) -> tuple[list[str], list[int]]:
    """Returns the paths of a split and their classes, in a cache's order."""
    paths = sorted((folder / split).glob("*/*.jpg"))
    return [str(path) for path in paths], [_class_of(path) for path in paths]


def _name(number: int) -> str:
    split = "train" if number % TEST_EVERY else "test"
    # Not by the number's last digits, of which test pictures have two alone.
    label = number // TEST_EVERY % NUM_CLASSES
    return f"{split}/class-{label}/{number:06}.jpg"


def _class_of(path: Path) -> int:
    return int(path.parent.name.partition("-")[2])


def _draw(rng: np.random.Generator, texture: np.ndarray) -> Image.Image:
    """Draws one picture: a cloud of patches, and detail upon it."""
    patches = rng.integers(0, 256, (NUM_PATCHES, NUM_PATCHES, 3), np.uint8)
    cloud = Image.fromarray(patches).resize((WIDTH, HEIGHT))
    top = rng.integers(TEXTURE_SIDE - HEIGHT)
    left = rng.integers(TEXTURE_SIDE - WIDTH)
    detail = texture[top : top + HEIGHT, left : left + WIDTH]
    strength = rng.uniform(0, MAX_STRENGTH)
    levels = np.asarray(cloud) + np.float32(strength) * detail
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _draw_texture(rng: np.random.Generator) -> np.ndarray:
    """Draws detail in grey levels, float32 `(side, side, 1)` around 0."""
    texture = np.zeros((TEXTURE_SIDE, TEXTURE_SIDE), np.float32)
    for side, levels in OCTAVES.items():
        noise = rng.normal(0, levels, (side, side)).astype(np.float32)
        texture += np.asarray(
            Image.fromarray(noise).resize(
                texture.shape, Image.Resampling.BICUBIC
            )
        )
    return texture[:, :, np.newaxis]
