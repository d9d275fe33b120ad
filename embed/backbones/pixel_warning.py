"""The warning of a backbone that seems to be given wrong pixels."""

import dataclasses
import logging

from embed.backbones.backbone import Backbone
from embed.backbones.handle import KERAS
from embed.backbones.handle import KERAS_HUB
from embed.backbones.handle import RANGE
from embed.backbones.handle import parse_handle
from embed.backbones.known import MODULES
from embed.backbones.probe import fit_ranges
from embed.backbones.request import DEFAULT_WEIGHTS
from embed.backbones.request import BackboneRequest

OWN_WEIGHTS = (DEFAULT_WEIGHTS, "random")  # Made for the network's own pixels.

logger = logging.getLogger(__name__)


def warn_of_pixels(request: BackboneRequest, backbone: Backbone) -> str:
    """Returns a warning where a backbone seems to be given wrong pixels.

    Nothing is run where they are known to be right.

    Args:
        request: What the backbone was loaded by.
        backbone: What is to be used.

    Returns:
        One sentence or two, or `""`.
    """
    if _is_known_right(request, backbone):
        return ""
    return warn_of_range(backbone, request.handle)


def warn_of_range(backbone: Backbone, handle: str) -> str:
    """Returns the warning, whatever is known of the backbone.

    Args:
        backbone: What is to be used.
        handle: What the user called it.

    Returns:
        One sentence or two, or `""`.
    """
    try:
        fit = fit_ranges(backbone)
    except Exception:  # A foreign graph raises anything; no build stops here.
        logger.info("The pixels of %s were not judged.", handle, exc_info=True)
        return ""
    if fit is None or not fit.is_wrong:
        return ""
    parsed = parse_handle(handle)
    options = {**parsed.options, RANGE: fit.best}
    advice = dataclasses.replace(parsed, options=options)
    return (
        f"Warning: {handle} is given pixels of {fit.given}, but its first "
        f"normalisation stored what photos of {fit.best} give (misfit "
        f"{fit.misfit:.2g} against {fit.best_misfit:.2g}). If it was trained "
        f"on those, write `--backbone '{advice}'`."
    )


def _is_known_right(request: BackboneRequest, backbone: Backbone) -> bool:
    """Tells whether whoever made the weights says what pixels they take."""
    handle = parse_handle(request.handle)
    module = MODULES.get(f"{handle.kind}:{handle.place}")
    if module is not None:
        return module.pixels == backbone.scaling.name
    if RANGE in handle.options:
        return False
    if handle.kind == KERAS:
        return request.weights in OWN_WEIGHTS
    return handle.kind == KERAS_HUB
