"""What chief and workers tell each other, in the words of KerasTuner's service.

Its messages hold a trial with hyperparameters, which here are fixed values: a
worker needs neither an oracle nor a space. Metrics are an update's, since
those of a trial are rounded to 32 bits.

    get_space      `contract`, `results_dir`
    create_trial   `search`, `spec`, and where a trial goes on with the training
                   of another one `parent` and `first_epoch`; STOPPED at the
                   end, IDLE where there is nothing to do at the moment
    get_trial      a sign of life of who trains it
    update_trial   val_accuracy, val_loss, seconds
    end_trial      COMPLETED, or with a `message` FAILED for a training that
                   diverged and INVALID for an error that ends the search; IDLE
                   for a trial that is given back
"""

import dataclasses
import json

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial

from embed.errors import PipelineError
from embed.provenance import installed_versions
from head.spec import HeadSpec
from tune.spec import SearchSpec

Fields = dict[str, str | int]
OPTIONS = {  # What a worker must be told as its chief is, by field.
    "oracle": "--oracle",
    "max_trials": "--max-trials",
    "max_epochs": "--max-epochs",
    "parallel": "--parallel",
    "folds": "--folds",
    "rows": "--rows",
    "seed": "--seed",
}
OF_CACHE = {"fingerprint", "pictures_digest"}
CONTRACT, RESULTS_DIR = "contract", "results_dir"
SEARCH, SPEC, MESSAGE = "search", "spec", "message"
PARENT, FIRST_EPOCH = "parent", "first_epoch"


@dataclasses.dataclass(frozen=True)
class Offer:
    """A trial that a worker may train.

    Args:
        trial_id: Its id.
        spec: What to train.
        parent: The trial whose training is gone on with, and the number of
            its epochs; `None` to begin at the beginning.
    """

    trial_id: str
    spec: HeadSpec
    parent: tuple[str, int] | None = None


def describe_search(spec: SearchSpec) -> Fields:
    """Returns all that must be the same for a chief and its workers."""
    versions = installed_versions()
    del versions["keras-tuner"]  # The spec has it.
    return {**spec.model_dump(mode="json"), **versions}


def fixed(**values: str | int) -> HyperParameters:
    """Returns hyperparameters that have one value each."""
    hyperparameters = HyperParameters()
    for name, value in values.items():
        hyperparameters.Fixed(name, value)
    return hyperparameters


def pack_contract(spec: SearchSpec, results_dir: str) -> HyperParameters:
    """Returns what a chief tells of its search.

    Args:
        spec: What is searched.
        results_dir: Where the results will be, on the chief's machine.
    """
    contract = json.dumps(describe_search(spec))
    return fixed(contract=contract, results_dir=results_dir)


def check_contract(
    contract: HyperParameters, spec: SearchSpec, address: object
) -> str:
    """Makes sure that a chief does the search of a worker.

    Args:
        contract: What the chief tells of it.
        spec: What the worker was started for.
        address: Of the chief, for the message.

    Returns:
        Where the results will be, on the chief's machine.

    Raises:
        PipelineError: If it does another one, or none of ours.
    """
    if CONTRACT not in contract.values:
        raise PipelineError(
            f"What answers at {address} is no chief of such a search. "
            "Expected: the one that `python -m tune search` starts. Received: "
            f"a search of {sorted(contract.values)}. Start one there."
        )
    theirs = json.loads(contract.values[CONTRACT])
    ours = describe_search(spec)
    names = [
        name
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    ]
    if names:
        expected = ", ".join(f"{name}={theirs.get(name)}" for name in names)
        received = ", ".join(f"{name}={ours.get(name)}" for name in names)
        raise PipelineError(
            f"The chief at {address} does another search than this worker was "
            f"started for. Expected: {expected}. Received: {received}. "
            f"{_advise(names, theirs)}"
        )
    return str(contract.values[RESULTS_DIR])


def pack_offer(offer: Offer, search: str) -> Trial:
    """Returns an offer as it is sent; `search` is the digest of its spec."""
    parent: Fields = {}
    if offer.parent is not None:
        parent = {PARENT: offer.parent[0], FIRST_EPOCH: offer.parent[1]}
    values = fixed(search=search, spec=offer.spec.to_json(), **parent)
    return Trial(values, trial_id=offer.trial_id)


def is_of_search(trial: Trial, search: str) -> bool:
    """Tells whether a trial belongs to the search of a digest."""
    return bool(trial.hyperparameters.values.get(SEARCH) == search)


def unpack_offer(trial: Trial) -> Offer:
    """Returns what was offered."""
    values = trial.hyperparameters.values
    parent = None
    if PARENT in values:
        parent = values[PARENT], values[FIRST_EPOCH]
    spec = HeadSpec.model_validate_json(values[SPEC])
    return Offer(trial.trial_id, spec, parent)


def bare_trial(status: str) -> Trial:
    """Returns a trial that says no more than its status."""
    return Trial(HyperParameters(), trial_id="", status=status)


def pack_end(offer: Offer, search: str, status: str, message: str) -> Trial:
    """Returns how a trial ended, as it is sent."""
    trial = pack_offer(offer, search)
    trial.status = status
    if message:
        trial.hyperparameters.Fixed(MESSAGE, message)
    return trial


def message_of(trial: Trial) -> str:
    """Returns why a trial did not end well, or `""`."""
    return str(trial.hyperparameters.values.get(MESSAGE, ""))


def _advise(names: list[str], theirs: Fields) -> str:
    """Returns what makes a worker equal to its chief."""
    advice = []
    if OF_CACHE & set(names):
        advice.append("a copy of its cache, with `--cache PATH`")
    if options := [name for name in names if name in OPTIONS]:
        words = " ".join(
            f"{OPTIONS[name]} {theirs[name]}"
            for name in options
            if name in theirs
        )
        if words:
            advice.append(f"its options, `{words}`")
        advice += [f"no `{OPTIONS[n]}`" for n in options if n not in theirs]
    if any(name not in OPTIONS.keys() | OF_CACHE for name in names):
        advice.append("its version of each package")
    return f"Start the worker with what the chief has: {'; '.join(advice)}."
