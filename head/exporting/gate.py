"""The gate: no model passes but one that answers what the cached head does.

Each is compared on train and validation pictures first. A file is opened for
it by its own runtime in a fresh process, and then scored on the test split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embed.cache import FeatureCache
from embed.images import ImageDecoder
from embed.origin import decoder_of
from head.exporting.formats import Format
from head.exporting.fresh import FreshProcess
from head.exporting.parity import QUANTIZED
from head.exporting.parity import Parity
from head.exporting.parity import ParityError
from head.exporting.parity import ParitySample
from head.exporting.parity import check_parity
from head.exporting.parity import is_exact
from head.exporting.parity import tolerance_of
from head.exporting.score import STITCHED
from head.exporting.score import Score
from head.exporting.score import ScoringSample
from head.exporting.score import check_score
from head.exporting.score import score
from head.view_model import ViewModel

if TYPE_CHECKING:
    import keras


class Gate:
    """Lets models pass, or says by how much they fall short.

    Args:
        cache: What the head was made on.
        sample: Train and validation pictures.
        test: Test pictures.
        documents: What each file must hold inside, text by name.
    """

    def __init__(
        self,
        cache: FeatureCache,
        *,
        sample: ParitySample,
        test: ScoringSample,
        documents: dict[str, str],
    ) -> None:
        self.cache, self.sample = cache, sample
        self.test, self.documents = test, documents

    def check_stitched(self, model: "keras.Model | ViewModel") -> Parity:
        """Compares the model in memory, which comes before any file.

        Args:
            model: Of pixels, or of encoded pictures.

        Raises:
            ParityError: If it falls short.
            SourceError: If pictures are not there any more.
        """
        decoder = decoder_of(self.cache)

        def answer(encoded: Sequence[bytes]) -> np.ndarray:
            logits: np.ndarray
            if isinstance(model, ViewModel):
                logits = model.answer(encoded).mean(axis=1)
            else:
                logits = model.predict_on_batch(_decode(decoder, encoded))
            return logits

        try:
            parity = check_parity(
                f"{STITCHED} model",
                answer,
                self.sample,
                tolerance_of(self.cache),
            )
        except ParityError as error:
            raise ParityError(
                f"{error} The pictures or the backbone have changed since the "
                "cache was built: build it again with "
                "`python -m embed build-cache --overwrite`."
            ) from error
        if not is_exact(self.cache):
            self.test = self.test.answered_by(model)
        return parity

    def check_file(self, of: Format, path: Path) -> tuple[Parity, Score]:
        """Compares and scores a file in a fresh process.

        Args:
            of: Its format.
            path: Where it lies.

        Raises:
            ParityError: If it falls short.
            FormatError: If its runtime does not run it.
            SourceError: If pictures are not there any more.
        """
        decoder, allowed = decoder_of(self.cache), tolerance_of(self.cache)
        with FreshProcess(of.name, path) as process:
            if process.documents != self.documents:
                raise ParityError(
                    f"The {of.name} model holds other documents than it was "
                    f"given, and is not exported. Expected: "
                    f"{sorted(self.documents)}. Received: "
                    f"{sorted(process.documents)}."
                )

            def answer(encoded: Sequence[bytes]) -> np.ndarray:
                if of.takes_encoded:
                    return process.answer_encoded(encoded)[0]
                return process.answer(_decode(decoder, encoded))[0]

            parity = check_parity(
                f"{of.name} model",
                answer,
                self.sample,
                QUANTIZED if of.is_quantized else allowed,
            )
            scored = score(process, self.test)
        check_score(of.name, scored, is_quantized=of.is_quantized)
        return parity, scored


def _decode(decoder: ImageDecoder, encoded: Sequence[bytes]) -> np.ndarray:
    return np.stack([decoder(one) for one in encoded])
