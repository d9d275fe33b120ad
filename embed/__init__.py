"""Frozen backbone to feature cache: every image is looked at exactly once."""
