"""What a run took, beside what the reference's way would take.

The reference runs the backbone over every picture in every epoch. What that
would take is computed, not measured: from the rate at which the backbone ran
when the cache was built, times the pictures, times the epochs.
"""

import dataclasses

from embed.cache import FeatureCache
from head.report.search_table import SearchTable
from head.run import Run


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of a pipeline; `None` for what is not known.

    Args:
        build: Of the pass over all pictures that made the cache.
        views: That passed through the backbone then.
        search: Of the search that chose the spec.
        train: Of the run's trainings.
        epochs: Of one training of the run.
        search_epochs: Of all trials of the search.
        num_images: Training and validation pictures, seen in each epoch.
        num_searched: Those that an epoch of the search sees.
    """

    build: float | None
    views: int
    search: float | None
    train: float
    epochs: int
    search_epochs: int
    num_images: int
    num_searched: int

    @property
    def rate(self) -> float | None:
        """Views a second through the backbone, decoding included."""
        return self.views / self.build if self.build and self.views else None

    @property
    def total(self) -> float:
        """All that was measured."""
        return (self.build or 0) + (self.search or 0) + self.train

    @property
    def reference_train(self) -> float | None:
        """The training alone, the reference's way."""
        return self._of_epochs(self.epochs, self.num_images)

    @property
    def reference_search(self) -> float | None:
        """The search, the reference's way."""
        if not self.search:
            return None
        return self._of_epochs(self.search_epochs, self.num_searched)

    @property
    def reference_total(self) -> float | None:
        """Search and training, the reference's way."""
        if self.reference_train is None:
            return None
        return self.reference_train + (self.reference_search or 0)

    def _of_epochs(self, epochs: int, num_images: int) -> float | None:
        rate = self.rate
        return None if rate is None else epochs * num_images / rate


def count_cost(
    run: Run, cache: FeatureCache, search: SearchTable | None
) -> Cost:
    """Gathers what was measured when cache, search and run were made."""
    made = cache.provenance
    record = run.record
    num_images = record.num_train + record.num_val
    num_sampled = search.num_sampled if search else None
    return Cost(
        build=made.seconds.get("pass"),
        views=made.num_timed,
        search=search.seconds if search else None,
        train=record.seconds,
        epochs=sum(head.epochs for head in record.spec.members),
        search_epochs=search.epochs if search else 0,
        num_images=num_images,
        num_searched=num_sampled or num_images,
    )
