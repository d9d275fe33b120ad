"""Seeds: which there are, and which follow one."""

MAX_SEED = 2**31 - 1  # TensorFlow's seeds are 32-bit integers with a sign.


def list_seeds(first: int, count: int) -> list[int]:
    """Returns so many seeds from one on; behind the largest comes 0."""
    return [(first + number) % (MAX_SEED + 1) for number in range(count)]
