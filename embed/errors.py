"""Errors that a user can act on, reported as one line without a traceback.

Every message has the same order: what is wrong, with the object's name.
Expected: x. Received: y. The command to run.
"""


class PipelineError(Exception):
    """Base class of every error that a command reports without a traceback."""


class SourceError(PipelineError, ValueError):
    """Images or labels cannot be found, or make no classification problem."""


class BadImagesError(PipelineError, ValueError):
    """Some pictures of a source cannot be decoded."""


class BackboneError(PipelineError, ValueError):
    """A backbone or its weights cannot be resolved, loaded or used."""


class EngineError(PipelineError, RuntimeError):
    """An engine is missing or does not compute what the backbone computes."""


class RunnerError(PipelineError, RuntimeError):
    """Workers, or the cluster they are to run on, cannot be had."""


class MissingArtifactError(PipelineError, FileNotFoundError):
    """A cache, run, search or model that a command needs is not there."""


class StaleCacheError(PipelineError, ValueError):
    """A cache was built from other inputs than the ones asked for."""


class CorruptCacheError(PipelineError, ValueError):
    """A cache is unreadable or fails its digest."""


class DamagedParentError(CorruptCacheError):
    """A cache or build from which rows were to be taken over has lost some.

    Args:
        message: What is wrong and what to do.
        path: Of the cache, or of the folder of blocks.
    """

    def __init__(self, message: str, path: object) -> None:
        super().__init__(message)
        self.path = path


class BusyCacheError(PipelineError, RuntimeError):
    """Another process is building the same cache."""


class StorageError(PipelineError, OSError):
    """A folder cannot be written, or the disk is full."""
