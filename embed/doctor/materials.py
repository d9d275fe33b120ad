"""Judges the dataset and the backbone that were asked for."""

from pathlib import Path

from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.doctor.child import Facts
from embed.doctor.room import check_folder
from embed.doctor.room import count_free_bytes
from embed.memory import format_size

COPIES = 2  # What was fetched, and what TFDS prepares of it, of about its size.
CHOOSE_DATA_DIR = "Choose another folder with `--data-dir DIR` or TFDS_DATA_DIR"
CHOOSE_HUB_CACHE = "Choose another folder with TFHUB_CACHE_DIR=DIR"
MARK = ". "  # What is wrong comes first in our errors, then the advice.


def check_dataset(facts: Facts) -> Finding:
    """Reports a dataset that a build would refuse or cannot keep."""
    if problem := facts.problem("dataset"):
        return _refuse(problem)
    part = facts.get("dataset")
    counts = part["num_images"] or {}
    images = " and ".join(f"{n:,} {split}" for split, n in counts.items())
    if not part["urls"]:
        return Finding(f"{images} images, here")
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
        return _refuse(problem)
    sides = facts.get("views")["sides"]
    own = ", ".join(str(side) for side in sorted({s for s in sides if s}))
    return Finding(f"{len(sides)}{f', some at {own} px' if own else ''}")


def check_backbone(facts: Facts) -> Finding:
    """Reports a backbone that a build would refuse or cannot keep."""
    if problem := facts.problem("backbone"):
        return _refuse(problem)
    part = facts.get("backbone")
    if not part["urls"]:
        return Finding(f"{part['feature_dim']:,} features, loaded from here")
    hub_folder = facts.parts.get("hub cache", {}).get("folder")
    if hub_folder:
        written = check_folder(
            Path(hub_folder), use="modules", advice=CHOOSE_HUB_CACHE
        )
        if written.level != "ok":
            return written
    return Finding("to be fetched")


def _refuse(problem: str) -> Finding:
    detail, _, advice = problem.partition(MARK)
    return fail(detail, advice or "See to it and run the doctor again.")
