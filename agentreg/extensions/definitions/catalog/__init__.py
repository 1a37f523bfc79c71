"""The catalog: one view of many sources, kept current."""
