"""Groups: the classes whose accuracy is reported together, by name.

The group `all` is always there and comes first. Oxford-IIIT Pet has four more
built in. A file of groups, which takes their place, is TOML with one list of
class names by group; in class names an underscore counts as a space:

    bull = ["american_bulldog", "american pit bull terrier"]
    hairless = ["Sphynx"]
"""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.errors import PipelineError
from head.class_names import spell

ALL = "all"
MAX_LISTED = 40  # Names in an error message; enough for the pets.

# The breeds of Oxford-IIIT Pet, https://www.robots.ox.ac.uk/~vgg/data/pets:
# its own file names tell cats by a capital letter, but a folder made from
# them may not. `new` are the breeds that ImageNet's 1,000 classes lack.
PET_CATS = frozenset(
    {
        "abyssinian",
        "bengal",
        "birman",
        "bombay",
        "british shorthair",
        "egyptian mau",
        "maine coon",
        "persian",
        "ragdoll",
        "russian blue",
        "siamese",
        "sphynx",
    }
)
PET_DOGS = frozenset(
    {
        "american bulldog",
        "american pit bull terrier",
        "basset hound",
        "beagle",
        "boxer",
        "chihuahua",
        "english cocker spaniel",
        "english setter",
        "german shorthaired",
        "great pyrenees",
        "havanese",
        "japanese chin",
        "keeshond",
        "leonberger",
        "miniature pinscher",
        "newfoundland",
        "pomeranian",
        "pug",
        "saint bernard",
        "samoyed",
        "scottish terrier",
        "shiba inu",
        "staffordshire bull terrier",
        "wheaten terrier",
        "yorkshire terrier",
    }
)
PET_NEW = (PET_CATS - {"persian", "siamese"}) | {
    "american bulldog",
    "havanese",
    "leonberger",
    "shiba inu",
}
PET_BREEDS = PET_CATS | PET_DOGS
PET_GROUPS = {
    "new": PET_NEW,
    "old": PET_BREEDS - PET_NEW,
    "cats": PET_CATS,
    "dogs": PET_DOGS,
}


Groups = dict[str, np.ndarray]  # Ascending class numbers by name of a group.


class GroupsError(PipelineError, ValueError):
    """A file of groups is missing, malformed, or names no class."""


def find_groups(
    class_names: Sequence[str], groups_file: Path | None = None
) -> Groups:
    """Finds the classes of each group that there is for some class names.

    Args:
        class_names: Of a cache, in the order of its labels.
        groups_file: Takes the place of the groups that are built in.

    Returns:
        By group the class numbers `(num_classes_of_group,)`, ascending; the
        group `all` is the first, and no group is empty.

    Raises:
        GroupsError: If the file cannot be read, has a group without classes,
            or names a class that there is not.
    """
    groups = {ALL: np.arange(len(class_names))}
    if groups_file is None:
        return groups | _find_built_in(class_names)
    for group, names in _read_groups(groups_file).items():
        groups[group] = _find_classes(group, names, class_names, groups_file)
    return groups


def _find_built_in(class_names: Sequence[str]) -> Groups:
    breeds = [spell(name).lower() for name in class_names]
    if len(breeds) != len(PET_BREEDS) or set(breeds) != PET_BREEDS:
        return {}
    return {
        group: np.flatnonzero([breed in members for breed in breeds])
        for group, members in PET_GROUPS.items()
    }


def _read_groups(path: Path) -> dict[str, list[str]]:
    """Reads the file and checks its form."""
    try:
        groups = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise GroupsError(
            f"The groups file {path} cannot be read: {error.strerror}. "
            "Expected: a TOML file. Give another with `--groups FILE`."
        ) from error
    except ValueError as error:  # Not UTF-8, or not TOML.
        raise GroupsError(
            f"The groups file {path} is no TOML. Expected: lines such as "
            f'`group = ["class name"]`. Received: {error}. Correct it, or give '
            "another with `--groups FILE`."
        ) from error
    for group, names in groups.items():
        is_file_name = group.isprintable() and not set(group) & set("/\\")
        if group == ALL or not is_file_name or not _is_list_of_names(names):
            raise GroupsError(
                f"The group {group!r} in {path} cannot be used. Expected: a "
                f"list of at least one class name, in a group other than "
                f"{ALL!r}, which has every class, whose name can be part of a "
                f"file name. Received: {names!r}. "
                "Correct the file that you give with `--groups`."
            )
    return groups


def _is_list_of_names(names: Any) -> bool:
    """Tells whether a value of the file is a list of strings, not empty."""
    if not isinstance(names, list):
        return False
    return bool(names) and all(isinstance(name, str) for name in names)


def _find_classes(
    group: str,
    names: Sequence[str],
    class_names: Sequence[str],
    path: Path,
) -> np.ndarray:
    """Returns the numbers of the classes of one group, ascending."""
    known = [spell(name) for name in class_names]
    wanted = {spell(name) for name in names}
    unknown = sorted(wanted.difference(known))
    if unknown:
        raise GroupsError(
            f"The group {group!r} in {path} names what is no class. Expected: "
            f"{_suggest(unknown[0], class_names)}. Received: "
            f"{', '.join(map(repr, unknown))}. Correct the file that you give "
            "with `--groups`."
        )
    return np.flatnonzero([name in wanted for name in known])


def _suggest(name: str, class_names: Sequence[str]) -> str:
    """Names the classes that a misspelt one may mean, or else what there is."""
    by_spelling = {spell(known).lower(): known for known in class_names}
    close = difflib.get_close_matches(name.lower(), by_spelling)
    if close:
        return " or ".join(repr(by_spelling[match]) for match in close)
    listed = ", ".join(map(repr, sorted(class_names)[:MAX_LISTED]))
    num_others = len(class_names) - MAX_LISTED
    return f"one of {listed}" + f", and {num_others} more" * (num_others > 0)
