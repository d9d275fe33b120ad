"""A finished search: its files, and how they are found and read.

In `searches/NAME/`:

    spec.json      the `SearchSpec`; written first
    search.json    a `SearchSummary`
    trials/        one `TrialRecord` a file
    baselines.json a `BaselineFile`, where the search ran baselines
    trials.csv     trials and baselines as a table, best first
    search.png     score against each hyperparameter
    best.json      `HeadSpec` of the winner; written last
    seeds/         the best trials with other seeds, where that was asked for
    tensorboard/   the trials for TensorBoard, see `tune.board`
    tuner/         what KerasTuner wrote
"""

import dataclasses
from pathlib import Path

import pydantic

from embed.artifacts import SEARCHES
from embed.artifacts import create_stale_error
from embed.artifacts import newest_first
from embed.cache import FeatureCache
from embed.errors import MissingArtifactError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.spec import CacheSpec
from head.spec import BEST
from tune.baseline_file import read_baselines
from tune.baselines import BaselineResult
from tune.seeds import SeedScores
from tune.seeds import read_scores
from tune.spec import SearchSpec
from tune.trials import TrialRecord
from tune.trials import rank_trials
from tune.trials import read_trials

SPEC, SUMMARY, TRIALS = "spec.json", "search.json", "trials"
STATES = "states"  # While a search runs.
TABLE, PICTURE = "trials.csv", "search.png"
SEARCH_COMMAND = "python -m tune search"


class SearchSummary(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What was searched and what came out.

    Args:
        spec: What determines the trials.
        cache: Where the feature cache lay.
        cache_spec: What that was made from.
        created: When the search was finished, ISO 8601 with time zone.
        devices: What TensorFlow computed on.
        versions: Version by package.
        seconds: Wall-clock seconds; of a call that was interrupted those of
            its trials, which several workers add up.
        num_trials: Trials of the oracle, failed ones included.
        best_trial: Id of the winner; `reference` if no trial beat it.
        best_score: Validation accuracy of the winner, 0 to 1.
        reference_score: That of the reference recipe; `None` if it diverged.
        num_cached: Images of the train split in the cache, which may have left
            bad pictures out; `None` in a search of before that was noted.
    """

    spec: SearchSpec
    cache: Path
    cache_spec: CacheSpec
    created: str
    devices: str
    versions: dict[str, str]
    seconds: float
    num_trials: int
    best_trial: str
    best_score: float
    reference_score: float | None
    num_cached: int | None = None

    @property
    def num_images(self) -> int:
        """Images that heads were trained and scored on."""
        return self.spec.rows or self.num_all_images

    @property
    def num_all_images(self) -> int:
        """Images of the whole train split."""
        return self.num_cached or self.cache_spec.splits["train"].num_images


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Args:
        path: Its folder.
        summary: What was searched and what came out.
        trials: Best first; the reference recipe is among them.
        baselines: What they are compared with, in a fixed order; none where
            the search ran none.
        seeds: How the best trials do with several seeds, if they were trained
            with more than one.
    """

    path: Path
    summary: SearchSummary
    trials: list[TrialRecord]
    baselines: list[BaselineResult] = dataclasses.field(default_factory=list)
    seeds: list[SeedScores] = dataclasses.field(default_factory=list)

    @property
    def best_path(self) -> Path:
        """The file that holds the winner's `HeadSpec`."""
        return self.path / BEST

    def require_cache(self, cache: FeatureCache) -> None:
        """Refuses a cache but the one that was searched on.

        Raises:
            StaleCacheError: Names the fields, both values and the command.
        """
        if cache.fingerprint != self.summary.cache_spec.fingerprint():
            raise _stale(self, cache, f"The search {self.path} was made")


def find_search(
    artifacts_dir: Path, cache: FeatureCache | None = None
) -> SearchResult:
    """Reads the newest finished search.

    Args:
        artifacts_dir: Where to look.
        cache: What it must have been made on; `None` for any.

    Raises:
        MissingArtifactError: If there is none.
        StaleCacheError: If there are searches of other caches alone.
    """
    others = []
    for path in newest_first(artifacts_dir, f"{SEARCHES}/*/{BEST}"):
        result = load_search(path.parent)
        made_on = result.summary.cache_spec
        if cache is None or made_on.fingerprint() == cache.fingerprint:
            return result
        others.append(result)
    if cache is not None and others:
        newest = f"No search fits. The newest, {others[0].path}, was made"
        raise _stale(others[0], cache, newest)
    on_this = f" --cache {cache.path}" if cache else ""
    raise MissingArtifactError(
        f"There is no finished search in {artifacts_dir / SEARCHES}. "
        f"Run one with `{SEARCH_COMMAND}{on_this}`."
    )


def load_search(path: Path) -> SearchResult:
    """Reads a finished search.

    Args:
        path: Its folder, or a file in it.

    Raises:
        MissingArtifactError: If there is none, or it is not finished.
        PipelineError: If its files are not what a search writes.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / BEST).is_file():
        raise MissingArtifactError(
            f"There is no finished search at {path}. Expected: a folder with "
            f"a {BEST}. Run one with `{SEARCH_COMMAND}`."
        )
    try:
        text = (folder / SUMMARY).read_text("utf-8")
        summary = SearchSummary.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"The search {folder} cannot be read. Expected: a {SUMMARY}. "
            f"Received: {error}. Run it anew with `{SEARCH_COMMAND} "
            "--overwrite`."
        ) from error
    trials = rank_trials(read_trials(folder / TRIALS))
    fingerprint = summary.spec.fingerprint
    baselines = read_baselines(folder, fingerprint)
    seeds = read_scores(trials, folder)
    return SearchResult(folder, summary, trials, baselines, seeds)


def _stale(
    result: SearchResult, cache: FeatureCache, subject: str
) -> StaleCacheError:
    advice = f"Search on this one with `{SEARCH_COMMAND} --cache {cache.path}`."
    return create_stale_error(
        result.summary.cache_spec, cache, subject=subject, advice=advice
    )
