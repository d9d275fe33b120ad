"""The same labelled pictures in the form of each source."""

import csv
import dataclasses
import io
import json
import tarfile
from collections import defaultdict

import numpy as np

from embed.sources import SourceRequest
from tests.conftest import CLASS_NAMES
from tests.conftest import draw_picture

NUM_OF_SPLIT = {"train": 80, "test": 20}  # Of each of three classes.
NUM_SHARD = 50  # Samples of a shard.


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture that was drawn.

    Args:
        split: Where it belongs.
        label: Name of its class.
        name: Of its file, `CLASS_NUMBER.ENDING`, unique in its split.
        encoded: Its bytes.
    """

    split: str
    label: str
    name: str
    encoded: bytes


def draw_pictures():
    """Draws 240 pictures to train on and 60 to test on, no two the same."""
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for split, count in NUM_OF_SPLIT.items():
        for label, class_name in enumerate(CLASS_NAMES):
            for number in range(count):
                suffix, kind = (("jpg", "JPEG"), ("png", "PNG"))[number % 2]
                file = io.BytesIO()
                Image.fromarray(draw_picture(label, rng)).save(file, kind)
                name = f"{class_name}_{number:03}.{suffix}"
                pictures.append(Drawn(split, class_name, name, file.getvalue()))
    return pictures


def write_class_folders(pictures, folder):
    """Writes `SPLIT/CLASS/NAME`."""
    for picture in pictures:
        path = folder / picture.split / picture.label / picture.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.encoded)
    return SourceRequest(dataset=f"folder:{folder}")


def write_named_files(pictures, folder):
    """Writes `SPLIT/NAME`, of which some lie deeper."""
    for number, picture in enumerate(pictures):
        deep = "more/of/them" if number % 3 else ""
        path = folder / picture.split / deep / picture.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.encoded)
    return SourceRequest(dataset=f"folder:{folder}", label_from="name")


def write_csv_list(pictures, folder):
    """Writes `SPLIT-NAME`, and a CSV list beside them."""
    rows = _write_flat(pictures, folder)
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return SourceRequest(dataset=f"folder:{folder}", labels=str(path))


def write_parquet_list(pictures, folder):
    """Writes `SPLIT-NAME`, and a Parquet list beside them."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(_write_flat(pictures, folder))
    path = folder / "labels.parquet"
    pyarrow.parquet.write_table(table, path)
    return SourceRequest(dataset=f"folder:{folder}", labels=str(path))


def _write_flat(pictures, folder):
    folder.mkdir()
    rows = []
    for picture in pictures:
        name = f"{picture.split}-{picture.name}"
        (folder / name).write_bytes(picture.encoded)
        label = picture.label
        rows.append({"path": name, "label": label, "split": picture.split})
    return rows


def write_tfds(pictures, folder):
    """Prepares a TFDS dataset; an empty label is one that is missing."""
    import tensorflow_datasets as tfds

    class Drawings(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Drawn pictures."""

        VERSION = tfds.core.Version("1.0.0")
        name = "drawings"
        pkg_dir_path = None

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "picture": tfds.features.Image(),
                        "species": tfds.features.ClassLabel(names=CLASS_NAMES),
                        "file_name": tfds.features.Text(),
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            splits = sorted({picture.split for picture in pictures})
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split):
            of_split = [p for p in pictures if p.split == split]
            for number, picture in enumerate(of_split):
                yield (
                    number,
                    {
                        "picture": io.BytesIO(picture.encoded),
                        "species": _number_of(picture.label),
                        "file_name": picture.name,
                    },
                )

    Drawings(data_dir=folder).download_and_prepare()
    return SourceRequest(dataset="tfds:drawings", data_dir=str(folder))


def write_parquet_folder(pictures, folder):
    """Writes a file a split, as the Hugging Face Hub keeps them."""
    for split in sorted({picture.split for picture in pictures}):
        data = _to_dataset([p for p in pictures if p.split == split])
        data.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return SourceRequest(dataset=f"hf:{folder}", data_dir=f"{folder}-prepared")


def write_parquet_file(pictures, folder):
    """Writes all into one file, of which parts are train and test."""
    folder.mkdir()
    in_order = sorted(pictures, key=lambda p: p.split == "test")
    _to_dataset(in_order).to_parquet(folder / "all.parquet")
    num_train = sum(picture.split == "train" for picture in pictures)
    return SourceRequest(
        dataset=f"hf:{folder / 'all.parquet'}",
        data_dir=f"{folder}-prepared",
        train_split=f"train[:{num_train}]",
        test_split=f"train[{num_train}:]",
    )


def write_saved_dataset(pictures, folder):
    """Writes what `save_to_disk` writes."""
    import datasets

    by_split = defaultdict(list)
    for picture in pictures:
        by_split[picture.split].append(picture)
    data = {split: _to_dataset(of) for split, of in by_split.items()}
    datasets.DatasetDict(data).save_to_disk(folder)
    return SourceRequest(dataset=f"hf:{folder}")


def _to_dataset(pictures):
    import datasets

    return datasets.Dataset.from_dict(
        {
            "img": [{"bytes": p.encoded, "path": p.name} for p in pictures],
            "kind": [_number_of(p.label) for p in pictures],
            "seconds": [0.5] * len(pictures),
        },
        features=datasets.Features(
            {
                "img": datasets.Image(),
                "kind": datasets.ClassLabel(names=list(CLASS_NAMES)),
                "seconds": datasets.Value("float32"),
            }
        ),
    )


def _number_of(label):
    return CLASS_NAMES.index(label) if label else -1


def write_shards(pictures, folder):
    """Writes tar shards `SPLIT-NUMBER.tar`, labels in `.cls`."""
    return _write_shards(
        pictures, folder, lambda picture: ("cls", picture.label.encode())
    )


def write_json_shards(pictures, folder):
    """Writes the same with labels in `.json`."""
    return _write_shards(
        pictures,
        folder,
        lambda p: ("json", json.dumps({"label": p.label}).encode()),
    )


def _write_shards(pictures, folder, describe):
    folder.mkdir()
    for split in sorted({picture.split for picture in pictures}):
        of_split = [p for p in pictures if p.split == split]
        for start in range(0, len(of_split), NUM_SHARD):
            path = folder / f"{split}-{start // NUM_SHARD:03}.tar"
            with tarfile.open(path, "w") as tar:
                for number, picture in enumerate(of_split[start:][:NUM_SHARD]):
                    ending = picture.name.rpartition(".")[2]
                    add_member(tar, f"{number:04}.{ending}", picture.encoded)
                    if picture.label:
                        ending, text = describe(picture)
                        add_member(tar, f"{number:04}.{ending}", text)
    return SourceRequest(dataset=f"wds:{folder}")


def add_member(tar, name, encoded):
    """Adds a file to a tar file."""
    member = tarfile.TarInfo(name)
    member.size = len(encoded)
    tar.addfile(member, io.BytesIO(encoded))


FORMS = {
    "class folders": write_class_folders,
    "named files": write_named_files,
    "csv list": write_csv_list,
    "parquet list": write_parquet_list,
    "tfds": write_tfds,
    "hf folder": write_parquet_folder,
    "hf file": write_parquet_file,
    "hf saved": write_saved_dataset,
    "shards": write_shards,
    "json shards": write_json_shards,
}
NEEDS = {  # Packages of extras.
    "parquet list": "pyarrow",
    **dict.fromkeys(("hf folder", "hf file", "hf saved"), "datasets"),
}
