"""Runs the whole pipeline on handwritten digits and says what it left where.

Every command is one that a user types. What it logs is passed through; the
JSON object that it prints is read, and the last lines are made of those. The
first command that fails ends the demo with its exit code.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ARTIFACTS = "artifacts/demo"  # Apart from the user's own.

# Enough epochs for so few pictures; the default is 60.
SEARCH_OPTIONS = ["--max-epochs", "40", "--seed", "0"]

COMMANDS = {
    "cache": ["embed", "build-cache", "--preset", "digits"],
    "search": ["tune", "search", *SEARCH_OPTIONS],
    "run": ["head", "train"],
    "evaluation": ["head", "evaluate"],
    "report": ["head", "report"],
    "export": ["head", "export-full-model"],
}
INTERRUPTED = 130  # 128 + SIGINT, as of the commands themselves.


def run_command(arguments: list[str]) -> dict[str, Any]:
    """Runs `python -m ARGUMENTS --json` and returns the object it prints.

    Raises:
        subprocess.CalledProcessError: If the command fails.
    """
    arguments = [*arguments, "--artifacts", ARTIFACTS]
    print(f"\n$ python -m {shlex.join(arguments)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--json"],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def summarize(answers: dict[str, dict[str, Any]], seconds: float) -> str:
    """Returns what the demo left where and how good it is, for people.

    Args:
        answers: The JSON object of each command, by its key in `COMMANDS`.
        seconds: How long all of them took.
    """
    search, evaluation = answers["search"], answers["evaluation"]
    parity = answers["export"]["parity"]
    best_spec, run = Path(search["best_spec"]), Path(answers["run"]["run"])
    lines = [
        ("feature cache", answers["cache"]["cache"]),
        ("best trial", best_spec),
        (
            "",
            f"validation accuracy {search['best_score']:.2%}, "
            f"{search['num_trials']} trials",
        ),
        *(("picture", path) for path in pictures(best_spec.parent, run)),
        ("report", answers["report"]["report"]),
        ("full model", answers["export"]["model"]),
        (
            "digits test split",
            f"accuracy {evaluation['top1']:.2%} "
            f"of {evaluation['num_images']} images",
        ),
        (
            "parity with head",
            f"largest difference {parity['max_abs_diff']:.1e}, "
            f"same top-1 for {parity['top1_agreement']:.2%} "
            f"of {parity['num_images']} images",
        ),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(
        [f"Done in {seconds:.0f} s."]
        + [f"  {name:{width}}  {value}" for name, value in lines]
    )


def pictures(*folders: Path) -> list[Path]:
    """Returns the plots in some folders, relative to the checkout."""
    return [
        path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        for folder in folders
        for path in sorted((ROOT / folder).glob("*.png"))
    ]


def main() -> int:
    """Runs the commands in order and returns the exit code of the demo."""
    began = time.monotonic()
    try:
        answers = {name: run_command(line) for name, line in COMMANDS.items()}
    except subprocess.CalledProcessError as error:
        print(f"\nThe demo ends here: {error}", file=sys.stderr)
        return error.returncode
    except KeyboardInterrupt:
        return INTERRUPTED
    print("\n" + summarize(answers, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
