"""Parts that stand beside the registry; each may be left out."""
