"""From the bytes of a file to a definition, and back."""
