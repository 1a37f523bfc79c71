"""The working crew that ``agentreg demo`` shows: agents that read a folder of Python files.

`crew` has the agents, `stage` the run that puts them together; `folder`,
`measure`, `rules` and `report` are the work they do, without any agent in
it; `board`, `views` and `live` show it.
"""
