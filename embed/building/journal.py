"""The journal of a build: what each attempt did, in a file that outlives it.

`NAME.h5.building/journal.jsonl` has one JSON object a line, appended before a
block is run through the backbone, so that a killed attempt is counted too.
Blocks that workers run are noted when their answer comes: what was on its way
when all were killed is not counted.

    {"attempt": 1, "started": TIME, "host": NAME, "pid": 7, "engine": NAME}
    {"attempt": 1, "split": "train", "block": 3, "views": 512}
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed.provenance import Attempt
from embed.provenance import host_name
from embed.provenance import now

NAME = "journal.jsonl"


class Journal:
    """The journal of one build, for one attempt to write.

    Args:
        build_dir: Folder of the build.
        engine: What runs the backbone in this attempt.
        parents: Names of the caches from which it takes rows over.
    """

    def __init__(
        self, build_dir: Path, engine: str, parents: Sequence[str] = ()
    ) -> None:
        self._path = build_dir / NAME
        self._number = len(read_journal(build_dir)) + 1
        self._append(
            started=now(),
            host=host_name(),
            pid=os.getpid(),
            engine=engine,
            parents=list(parents),
        )

    def begin_block(self, split: str, number: int, num_views: int) -> None:
        """Notes that so many views of a block are run, here or by a worker."""
        self._append(split=split, block=number, views=num_views)

    def _append(self, **facts: Any) -> None:
        line = json.dumps({"attempt": self._number, **facts})
        with self._path.open("a", encoding="utf-8") as file:
            # In front too: a full disk may have cut off the line before.
            file.write(f"\n{line}\n")


def read_journal(build_dir: Path) -> tuple[Attempt, ...]:
    """Returns the attempts that a build took so far.

    A line that was cut off or damaged is passed over.
    """
    try:
        text = (build_dir / NAME).read_text("utf-8", errors="replace")
    except OSError:
        return ()
    attempts: list[Attempt] = []
    places: dict[Any, int] = {}
    for line in text.splitlines():
        try:
            facts = json.loads(line)
            number = facts.pop("attempt")
            if "started" in facts:
                attempts.append(Attempt(**facts, num_views=0))
                places[number] = len(attempts) - 1
            else:
                place = places[number]
                num_views = attempts[place].num_views + int(facts["views"])
                attempts[place] = attempts[place].model_copy(
                    update={"num_views": num_views}
                )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(attempts)


def find_last_engine(attempts: Sequence[Attempt]) -> str:
    """Returns the engine of the last attempt that needed one, or `""`."""
    return next((a.engine for a in reversed(attempts) if a.engine), "")
