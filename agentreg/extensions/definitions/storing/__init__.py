"""The table of versions, in SQLite or Redis, and questions to it."""
