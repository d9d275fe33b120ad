"""A page to try a model: drop a picture, see what it says and why."""
