"""Backbones and view sets side by side: the same head on several caches."""
