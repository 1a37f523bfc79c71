"""The demo of definitions: ``agentreg demo --definitions PATH``.

`agents` are the demo's own definitions; `folders` says where definitions
are loaded from, `casting` who of them is fit for which part, `thinking` is
the local model that the spawned agents think with, `stage` the run that
puts them together, and `outcome` what it came to.
"""
