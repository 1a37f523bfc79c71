"""Queries of other people, as they have them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

AVAILABLE = """
SELECT * FROM agents
WHERE status = 'active'
AND JSON_EXTRACT(config, '$.tools') LIKE '%Bash%'
AND JSON_EXTRACT(config, '$.priority') >= 7;
"""

USAGE = """
SELECT
  name,
  JSON_EXTRACT(resources, '$.memory_used') as memory_used,
  JSON_EXTRACT(resources, '$.active_tasks') as active_tasks,
  JSON_EXTRACT(performance, '$.avg_response_time') as avg_response
FROM agents
WHERE status = 'active'
ORDER BY JSON_EXTRACT(config, '$.priority') DESC;
"""

TRENDS = """
SELECT
  DATE(last_activity) as date,
  COUNT(*) as active_agents,
  AVG(CAST(JSON_EXTRACT(performance, '$.avg_response_time') AS REAL)) as avg_response,
  SUM(CAST(JSON_EXTRACT(resources, '$.active_tasks') AS INTEGER)) as total_tasks
FROM agents
GROUP BY DATE(last_activity)
ORDER BY date DESC;
"""


def ask(path: Path, query: str) -> list[sqlite3.Row]:
    """The rows, as another program gets them."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query).fetchall()
