"""What stores raise, each its own, as one line that says what to do."""

import os
import re

EXTRAS = {"gcs": "gs", "gs": "gs", "s3": "s3", "s3a": "s3"}
CREDENTIALS = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default "
    "login`",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role "
    "of the machine",
}
# Whatever user, password or signature an address in a message carries.
SECRETS = re.compile(r"(?<=://)[^/\s]*@|\?[^\s\"']+")
S3_SCHEMES = ("s3", "s3a")
SILENCE = re.compile("Connect|Timeout|ReadError")  # In the name of an error.
DENIED = (401, 403)  # As Google's library says it.
ENDPOINT = "AWS_ENDPOINT_URL"


def describe_failure(url: str, error: Exception, verb: str) -> str:
    """Returns the line for what a library raised.

    Args:
        url: Of the file or folder.
        error: What was raised.
        verb: What could not be done, e.g. `"read"`.
    """
    scheme = url.partition("://")[0]
    name = type(error).__name__
    received = f"{name}: {' '.join(str(error).split())}"
    received = SECRETS.sub("", received).rstrip(".: ")
    extra = EXTRAS.get(scheme, "")
    if isinstance(error, FileNotFoundError):
        reason, expected = "it is not there", "a bucket or host that exists"
    elif (
        isinstance(error, PermissionError)
        or re.search("Credential|Profile", name)
        or getattr(error, "code", None) in DENIED
    ):
        reason = "access is denied"
        expected = "credentials that may list, read, write and remove"
        if extra:
            expected += f", from {CREDENTIALS[extra]}"
    elif SILENCE.search(name):
        reason = f"nobody answers{describe_endpoint(scheme)}"
        expected = "a store that can be reached"
    else:
        reason, expected = "the store refuses", "one that allows it"
    return (
        f"{url} cannot be {verb}: {reason}. Expected: {expected}. "
        f"Received: {received}. What is finished is kept: see to it, or "
        "name another place with `--blocks`, and run the command again."
    )


def describe_endpoint(scheme: str) -> str:
    """Returns words for the host that S3 is told to be at, if it is."""
    url = os.environ.get(ENDPOINT) if scheme in S3_SCHEMES else ""
    return f" ({ENDPOINT} is {SECRETS.sub('', url)})" if url else ""
