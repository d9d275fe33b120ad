"""How a feature cache comes about: known rows, missing ones, the file."""
