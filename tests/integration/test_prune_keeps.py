"""What trainings and searches write is what `embed prune` understands."""

from embed.console import Console
from embed.upkeep.prune import plan_prune
from head.refit import train_run
from head.spec import HeadSpec
from tune.search import run_search


def test_the_caches_of_real_runs_and_searches_stay(draw_cache, tmp_path):
    """Of a run, of a search, and of a search that was cut off."""
    artifacts_dir = tmp_path / "artifacts"
    caches_dir = artifacts_dir / "caches"
    caches_dir.mkdir(parents=True)
    names = ("of-run", "of-search", "of-half-a-search", "of-nothing")
    caches = {
        name: draw_cache(caches_dir / f"{name}.h5", seed=seed)
        for seed, name in enumerate(names)
    }
    train_run(
        caches["of-run"],
        HeadSpec(epochs=1),
        seed=0,
        artifacts_dir=artifacts_dir,
    )
    searches = {
        name: run_search(
            caches[name],
            oracle="random",
            max_trials=1,
            max_epochs=1,
            seed=0,
            artifacts_dir=artifacts_dir,
            is_overwrite=False,
            console=Console(is_quiet=True),
        )
        for name in names[1:3]
    }
    done = searches["of-half-a-search"].path
    half = done.parent / ".building" / done.name
    done.rename(half)
    (half / "search.json").unlink()

    pruning = plan_prune(artifacts_dir, takes_unfinished=True)

    kept = {entry.path.stem for entry in pruning.kept}
    assert kept == {"of-run", "of-search", "of-half-a-search"}
    (removed,) = pruning.removed
    assert removed.path.stem == "of-nothing"
