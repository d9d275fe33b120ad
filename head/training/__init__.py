"""Rows of a cache to a trained head: draws, epochs, schedules."""
