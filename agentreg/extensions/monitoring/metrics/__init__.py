"""Metrics: from samples to roll-ups, on disk and back."""
