"""How a feature cache lies in its file."""
