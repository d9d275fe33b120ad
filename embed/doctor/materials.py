"""Judges the dataset and the backbone that were asked for."""

from pathlib import Path

from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.doctor.check import refuse
from embed.doctor.child import Facts
from embed.doctor.room import check_folder
from embed.doctor.room import count_free_bytes
from embed.memory import format_size

COPIES = 2  # What was fetched, and what TFDS prepares of it, of about its size.
CHOOSE_DATA_DIR = "Choose another folder with `--data-dir DIR` or TFDS_DATA_DIR"


def check_dataset(facts: Facts) -> Finding:
    """Reports a dataset that a build would refuse or cannot keep."""
    if problem := facts.problem("dataset"):
        return refuse(problem)
    part = facts.get("dataset")
    counts = part["num_images"] or {}
    images = " and ".join(f"{n:,} {split}" for split, n in counts.items())
    if not part["urls"]:
        return Finding(f"{images or 'unknown'} images, here")
    if folder := part.get("folder"):
        written = check_folder(
            Path(folder), use="the dataset", advice=CHOOSE_DATA_DIR
        )
        free, needed = count_free_bytes(Path(folder)), part["fetched_bytes"]
        if written.level != "ok":
            return written
        if free < COPIES * needed:
            return fail(
                f"{format_size(needed)} to be fetched to {folder} and prepared "
                f"there, where {format_size(free)} are free",
                CHOOSE_DATA_DIR,
            )
    size = part["fetched_bytes"]
    return Finding(
        f"{images or 'unknown'} images, to be fetched"
        f"{f' ({format_size(size)})' if size else ''}"
    )


def check_views(facts: Facts) -> Finding:
    """Reports views that a build would refuse."""
    if problem := facts.problem("views"):
        return refuse(problem)
    sides = facts.get("views")["sides"]
    own = ", ".join(str(side) for side in sorted({s for s in sides if s}))
    return Finding(f"{len(sides)}{f', some at {own} px' if own else ''}")


def check_backbone(facts: Facts) -> Finding:
    """Reports a backbone that a build would refuse or cannot keep."""
    if problem := facts.problem("backbone"):
        return refuse(problem)
    part = facts.get("backbone")
    if not part["urls"]:
        return Finding(f"{part['feature_dim']:,} features, loaded from here")
    if folder := part.get("folder"):
        written = check_folder(
            Path(folder),
            use="the backbone",
            advice=f"Choose another folder with {part['variable']}=DIR",
        )
        if written.level != "ok":
            return written
    return Finding("to be fetched")
