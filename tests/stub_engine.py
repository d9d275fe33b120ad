"""An engine without a network, for tests of what is around engines."""

from embed.engines import Engine


class StubEngine(Engine):
    """Answers what a function answers.

    Args:
        backbone: Whose image size and number of features it has.
        run: Takes a whole batch of images; returns their features.
        name: What it is called.
        pixels_a_batch: What its default batch has.
    """

    def __init__(
        self,
        backbone,
        run,
        *,
        name="stub",
        batch_size=None,
        num_streams=1,
        pixels_a_batch=256,
    ):
        self.name, self.pixels_a_batch = name, pixels_a_batch
        super().__init__(backbone, batch_size)
        for _ in range(num_streams):
            self._add_stream(run)
