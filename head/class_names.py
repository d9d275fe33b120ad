"""Names of classes as people read them."""


def spell(class_name: str) -> str:
    """Returns a name in words: an underscore counts as a space."""
    return class_name.replace("_", " ")
