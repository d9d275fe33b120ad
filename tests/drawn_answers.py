"""Answers that hypothesis draws: logits and labels of a few images."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

MAX_LOGIT = 10  # Below exp(-36) scikit-learn rounds a probability up.


@st.composite
def answers(draw, min_images=1, max_classes=8):
    """Draws logits and labels of up to 20 images and 2 to 8 classes.

    Some logits are whole numbers, so that there are equal ones.
    """
    num_images = draw(st.integers(min_images, 20))
    num_classes = draw(st.integers(2, max_classes))
    logits = draw(
        st_numpy.arrays(
            np.float32,
            (num_images, num_classes),
            elements=st.floats(-MAX_LOGIT, MAX_LOGIT, width=32)
            | st.integers(-2, 2).map(float),
        )
    )
    labels = draw(
        st_numpy.arrays(
            np.int32, num_images, elements=st.integers(0, num_classes - 1)
        )
    )
    return logits, labels
