"""The oracles of KerasTuner, without the traps that they set.

Each subclass mends what its docstring says. None of them saves more than
KerasTuner does: a search resumes by replay, see `tune.trials`.
"""

import math
import warnings
from typing import Any

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import TrialStatus
from sklearn.exceptions import ConvergenceWarning

from tune.spec import OracleName

OBJECTIVE = "val_accuracy"
# KerasTuner adds 1 to its seed per value drawn, so that neighbouring seeds
# would draw the same values a little later: seeds are spread out. The modulus
# keeps them in NumPy's range; prime to it, the stride maps no two to one.
SEED_STRIDE = 1_000_003
SEED_MODULUS = 2**32 - 1
RANDOM_SHARE = 0.25  # Of the trials, drawn before Bayes has anything to fit.
MIN_RANDOM_TRIALS = 3
HYPERBAND_FACTOR = 3  # Li et al. (2018) advise 3 or 4.


def create_oracle(
    name: OracleName, *, max_trials: int, max_epochs: int, seed: int
) -> keras_tuner.Oracle:
    """Creates an oracle that looks for the highest validation accuracy.

    Args:
        name: Which.
        max_trials: Largest number of trials.
        max_epochs: Largest number of epochs of a trial.
        seed: The same seed gives the same trials; 0 is a seed like any.
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "seed": spread_seed(seed),
        # KerasTuner stops after 3 failures in a row; a trial that diverges
        # says nothing against the next one.
        "max_consecutive_failed_trials": max_trials + 1,
    }
    oracle: keras_tuner.Oracle
    if name == "hyperband":
        oracle = _HyperbandOracle(max_trials, max_epochs, common)
    elif name == "bayesian":
        oracle = _BayesianOracle(max_trials, common)
    elif name == "grid":
        oracle = _GridOracle(max_trials=max_trials, **common)
    else:
        oracle = oracles.RandomSearchOracle(max_trials=max_trials, **common)
    oracle.verbose = 0  # Its tables go to stdout.
    return oracle


def spread_seed(seed: int) -> int:
    """Returns what KerasTuner is given for a seed.

    It is never 0, which KerasTuner takes for no seed (`seed or random`), and
    another one for each seed below 2**32 - 1.
    """
    return 1 + seed * SEED_STRIDE % SEED_MODULUS


class _GridOracle(keras_tuner.Oracle):
    """The points of a grid in order, what was asked for last varied first.

    KerasTuner's hands out one at a time, and cannot be resumed (its issue
    1055). The number of a trial tells its point. No parameter may depend on
    another one.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of a trial."""
        number, values = int(trial_id), {}
        for parameter in reversed(self.get_space().space):
            number, place = divmod(number, len(parameter.values))
            values[parameter.name] = parameter.values[place]
        if number:
            return {"status": TrialStatus.STOPPED, "values": None}
        return {"status": TrialStatus.RUNNING, "values": values}


class _BayesianOracle(oracles.BayesianOptimizationOracle):
    """Bayesian optimisation that fits a budget of few trials.

    KerasTuner draws 3 random trials per hyperparameter first, 24 of 32, and
    more as long as these are not finished: of 16 at once all are random.
    """

    def __init__(self, max_trials: int, common: dict[str, Any]) -> None:
        num_random = math.ceil(max_trials * RANDOM_SHARE)
        super().__init__(
            max_trials=max_trials,
            num_initial_points=max(num_random, MIN_RANDOM_TRIALS),
            **common,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of a trial, or waits for the random ones."""
        trials = self.trials.values()
        num_completed = sum(t.status == TrialStatus.COMPLETED for t in trials)
        if (
            self.ongoing_trials
            and num_completed < self.num_initial_points <= len(trials)
        ):
            return {"status": TrialStatus.IDLE}
        with warnings.catch_warnings():
            # A length scale at the end of its range: a hyperparameter that
            # makes no difference.
            warnings.simplefilter("ignore", ConvergenceWarning)
            proposal: dict[str, Any] = super().populate_space(trial_id)
        return proposal


class _HyperbandOracle(oracles.HyperbandOracle):
    """Hyperband within a number of trials.

    KerasTuner's takes no `max_trials`, and its first bracket alone takes 52
    for 60 epochs: cut off after 32, nothing would have trained for more than
    7 of them. Asked for many at once, it begins the next sweep where a round
    has to wait for another one. This one takes the most brackets of which a
    whole sweep fits, then the most trials; when it has ended, the next one is
    made to fit what is left, until the trials are used up.
    """

    def __init__(
        self, max_trials: int, max_epochs: int, common: dict[str, Any]
    ) -> None:
        self._num_brackets, self._end_size = fit_brackets(
            max_trials, max_epochs
        )
        super().__init__(
            max_epochs=max_epochs,
            factor=HYPERBAND_FACTOR,
            hyperband_iterations=1,  # It stops behind a sweep.
            **common,
        )
        self.max_trials = max_trials

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of a trial, or waits for a round to end."""
        proposal: dict[str, Any] = super().populate_space(trial_id)
        if proposal["status"] == TrialStatus.STOPPED:
            self._begin_sweep(self.max_trials - len(self.trials))
            proposal = super().populate_space(trial_id)
        return proposal

    def _begin_sweep(self, max_trials: int) -> None:
        """Begins one of so many trials; rounds that failed are given up."""
        self._num_brackets, self._end_size = fit_brackets(
            max_trials, self.max_epochs
        )
        self._current_bracket = self._num_brackets - 1
        self._brackets: list[dict[str, Any]] = []
        self._start_new_bracket()

    def _get_num_brackets(self) -> int:
        return self._num_brackets

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        return bracket_size(bracket_num, round_num, self._end_size)


def fit_brackets(max_trials: int, max_epochs: int) -> tuple[int, int]:
    """Returns how many brackets a sweep has and what its last one starts with.

    Args:
        max_trials: Number of trials that a sweep must not exceed.
        max_epochs: Largest number of epochs of a trial.
    """
    base = HYPERBAND_FACTOR
    most = math.floor(math.log(max_epochs, base) + 1e-9) + 1
    largest = math.ceil(1 + math.log(max_epochs, base))  # KerasTuner's own.
    for num_brackets in range(most, 0, -1):
        for end_size in range(largest, 0, -1):
            if _sweep_size(num_brackets, end_size) <= max_trials:
                return num_brackets, end_size
    return 1, 1


def bracket_size(bracket_num: int, round_num: int, end_size: int) -> int:
    """Returns the number of trials of a round, as KerasTuner has it."""
    power = float(HYPERBAND_FACTOR) ** (bracket_num - round_num)
    return math.ceil(end_size / (bracket_num + 1) * power)


def _sweep_size(num_brackets: int, end_size: int) -> int:
    return sum(
        bracket_size(bracket_num, round_num, end_size)
        for bracket_num in range(num_brackets)
        for round_num in range(bracket_num + 1)
    )
