"""Make a run: train watched by the validation rows, then refit on all.

Of an ensemble all members are trained, one after the other, then all refit.
"""

import csv
import hashlib
import os
import time
from pathlib import Path

from embed.artifacts import BUILDING
from embed.artifacts import RUNS
from embed.artifacts import create_stale_error
from embed.artifacts import replace_folder
from embed.artifacts import touch
from embed.cache import FeatureCache
from embed.claims import claim_cache
from embed.console import Console
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.provenance import installed_versions
from embed.provenance import now
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import TrainSplit
from embed.splits import split_train
from embed.stream import Reader
from embed.stream import RowStream
from embed.stream import choose_reader
from head.ensemble import join_heads
from head.ensemble import score_rows
from head.ensemble import train_members
from head.evaluating.decisions import decide
from head.run import CURVES
from head.run import HEAD
from head.run import HISTORY
from head.run import IMAGES
from head.run import RECORD
from head.run import TRAIN_COMMAND
from head.run import Run
from head.run import RunRecord
from head.run import load_run
from head.spec import HeadSpec
from head.training.train import History

NAME_DIGITS = 10  # Of the digest in a run's name: 40 bits.
BEHIND_NS = 10**9  # The clocks of some file systems have seconds only.


def train_run(
    cache: FeatureCache,
    spec: HeadSpec,
    *,
    seed: int,
    artifacts_dir: Path,
    memory_limit: int | None = None,
    is_overwrite: bool = False,
    behind: Run | None = None,
    console: Console | None = None,
) -> Run:
    """Trains a head, or finds the run that did exactly this.

    The head is trained on the train rows while the validation rows are
    watched, and then refit on both for the same number of epochs. Between the
    two the temperature is fitted to the validation rows, and the views that
    are averaged at test time are chosen by them.

    Args:
        cache: Features and labels.
        spec: What to train.
        seed: Of weights, order, views and dropout; see `seeds_of`.
        artifacts_dir: Folder of everything written.
        memory_limit: Bytes that features may take; more are streamed, to the
            same result. Default: half of the memory that is free.
        is_overwrite: Whether to train again what is there.
        behind: A run that stays newer than this one, so that commands which
            take the newest do not take this one. Default: it is the newest.
        console: Receives progress and remarks.

    Raises:
        StaleCacheError: If the spec was chosen on another cache.
        PipelineError: If there are too few images.
    """
    console = console or Console(is_quiet=True)
    require_chosen_on(cache, spec)
    spec = spec.without_origin()  # The record has the cache.
    directory = artifacts_dir / RUNS / _name_run(cache, spec, seed)
    if not is_overwrite and (directory / RECORD).is_file():
        console.say(f"The run {directory} has done exactly this already.")
        if behind is None:
            touch(directory / RECORD)
        return load_run(directory)
    marker = artifacts_dir / RUNS / BUILDING / f"{directory.name}.json"
    with claim_cache(marker, cache):
        return _train_and_write(
            cache, spec, directory, seed, memory_limit, behind, console
        )


def has_run(
    cache: FeatureCache, spec: HeadSpec, *, seed: int, artifacts_dir: Path
) -> bool:
    """Tells whether `train_run` would find a run, and train nothing."""
    name = _name_run(cache, spec, seed)
    return (artifacts_dir / RUNS / name / RECORD).is_file()


def _train_and_write(
    cache: FeatureCache,
    spec: HeadSpec,
    directory: Path,
    seed: int,
    memory_limit: int | None,
    behind: Run | None,
    console: Console,
) -> Run:
    """Trains each head twice, watched and on all, and writes the run."""
    read = choose_reader(cache, memory_limit, console)
    train, val = take_train_and_val(cache, read)
    num_train, num_val = len(train), len(val)
    began = time.monotonic()
    num_classes = len(cache.spec.class_names)
    num_epochs = 2 * sum(member.epochs for member in spec.members)
    with console.progress("Training", num_epochs, "epochs") as progress:
        watched = train_members(
            spec,
            train=train,
            val=val,
            num_classes=num_classes,
            seed=seed,
            on_epoch=lambda metrics: progress.advance(
                note=f"validation {metrics['val_accuracy']:.2%}"
            ),
        )
        accuracies = [head.history["val_accuracy"][-1] for head in watched]
        history, val_accuracy = watched[0].history, accuracies[0]
        joined = join_heads([head.model for head in watched])
        if spec.others:
            val_accuracy = score_rows(joined, val)
        decisions = decide(joined, cache, val, read)
        # Before all rows are read: memory is for one training.
        del train, val, watched, joined
        refit = train_members(
            spec,
            train=read(Selection("train")),
            val=None,
            num_classes=num_classes,
            seed=seed,
            on_epoch=lambda metrics: progress.advance(note="refit"),
        )
    record = RunRecord(
        spec=spec,
        seed=seed,
        cache=str(cache.path),
        cache_spec=cache.spec,
        pictures_digest=cache.pictures_digest(),
        val_accuracy=val_accuracy,
        member_val_accuracies=tuple(accuracies) if spec.others else (),
        temperature=decisions.temperature,
        tta_views=decisions.tta_views,
        num_train=num_train,
        num_val=num_val,
        created=now(),
        versions=installed_versions(),
        seconds=time.monotonic() - began,
    )
    from head.evaluating.pictures import (
        draw_sample,  # Matplotlib: not for who has a run.
    )
    from head.plots import draw_learning_curves

    with replace_folder(directory) as part:
        join_heads([head.model for head in refit]).save(part / HEAD)
        _write_history(history, part / HISTORY)
        draw_learning_curves(history, part / CURVES)
        try:
            draw_sample(cache, part / IMAGES)
        except PipelineError as error:
            console.say(f"The training images were not drawn: {error}")
        (part / RECORD).write_text(record.model_dump_json(indent=2), "utf-8")
        if behind is not None:
            _rank_behind(part / RECORD, behind.directory / RECORD)
    return Run(directory, record)


def require_chosen_on(
    cache: FeatureCache, spec: HeadSpec, path: Path | None = None
) -> None:
    """Refuses a spec that was chosen on another cache.

    Args:
        cache: What it is to be trained on.
        spec: What was chosen.
        path: Of its file, if it has one.

    Raises:
        StaleCacheError: Names the fields, both values and the command.
    """
    if spec.fingerprint in (None, cache.fingerprint):
        return
    subject = f"The head spec {path or ''}".rstrip() + " was chosen"
    advice = (
        f"Search on this one with `python -m tune search --cache {cache.path}`,"
        " or train the reference with "
        f"`{TRAIN_COMMAND} --recipe reference --cache {cache.path}`."
    )
    if spec.chosen_on is not None:
        raise create_stale_error(
            spec.chosen_on, cache, subject=subject, advice=advice
        )
    raise StaleCacheError(  # A trial's spec, which has a fingerprint alone.
        f"{subject} on another cache than {cache.path}. "
        f"Expected: fingerprint={spec.fingerprint}. Received: "
        f"fingerprint={cache.fingerprint}. {advice}"
    )


def take_train_and_val(
    cache: FeatureCache, read: Reader
) -> tuple[Rows | RowStream, Rows | RowStream]:
    """Returns the rows to train on and those to choose by.

    Args:
        cache: Where they lie.
        read: What gives the rows of a selection.

    Raises:
        PipelineError: If no image fell to a side.
    """
    split = divide_train(cache)
    return read(split.train), read(split.val)


def divide_train(cache: FeatureCache) -> TrainSplit:
    """Divides the train split of a cache.

    Raises:
        PipelineError: If no image fell to a side.
    """
    split = split_train(cache.image_ids("train"))
    num_train, num_val = (
        0 if s.rows is None else len(s.rows) for s in (split.train, split.val)
    )
    if not num_train or not num_val:
        raise PipelineError(
            f"The cache {cache.path} has too few images to be divided into "
            "train and validation rows. Expected: at least one each. "
            f"Received: {num_train} and {num_val}. Add pictures and run "
            "`python -m embed build-cache` again."
        )
    return split


def _name_run(cache: FeatureCache, spec: HeadSpec, seed: int) -> str:
    """Returns a name that stands for cache, pictures, spec and seed."""
    # A recipe is the same training whether it was chosen on this cache or not.
    recipe = spec.with_fingerprint(None)
    identity = "\0".join(
        [
            cache.fingerprint,
            cache.pictures_digest(),
            recipe.to_json(),
            str(seed),
        ]
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:NAME_DIGITS]
    dataset = cache.path.stem.partition("-")[0]
    return f"{dataset}-seed{seed}-{digest}"


def _rank_behind(record: Path, other: Path) -> None:
    """Makes a record older than another, whatever the time is."""
    moment = other.stat().st_mtime_ns - BEHIND_NS
    os.utime(record, ns=(moment, moment))


def _write_history(history: History, path: Path) -> None:
    """Writes the metrics, one row an epoch, counted from 1."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        for epoch, row in enumerate(zip(*history.values(), strict=True), 1):
            writer.writerow([epoch, *row])
