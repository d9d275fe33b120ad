"""`python -m head report`: a shell over `head.report`."""

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import CacheOption
from embed.console import JsonOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from head.options import GroupsOption
from head.options import RunOption


def run_report(
    run: RunOption = None,
    groups: GroupsOption = None,
    cache: CacheOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write all that is known of a run to one HTML file, pictures inside.

    Its figures are those of `evaluate` with one view, whose files it leaves as
    they are. It opens in any browser, without a
    network, on a phone, in the dark and on paper. Suspected label faults and
    pictures that are in both splits are listed.

    Example: python -m head report --run artifacts/runs/pets-seed0
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.memory import format_size
        from head.choice import find_run_and_cache
        from head.report.writing import write_report

        reported, features = find_run_and_cache(artifacts, run, cache)
        console.say(f"Run: {reported.directory}. Cache: {features.path}.")
        report = write_report(
            reported,
            features,
            artifacts_dir=artifacts,
            groups_file=groups,
            console=console,
        )
        console.result(
            report.to_payload(),
            f"Report: {report.path}\n"
            f"  {format_size(report.num_bytes)}, {report.num_pictures} "
            f"pictures, {report.num_suspects} doubted labels, "
            f"{report.num_duplicates} near-duplicates across the splits",
        )
