"""Metrics for other programs: each module needs the library of its own extra."""
