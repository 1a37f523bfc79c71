"""The verbs about how agents do: ``stats``, ``alerts``, ``resources``, ``why``, ``decisions`` and ``top``.

They ask the service, so that they start as fast as ``list``: with the
standard library and `agentreg.cli.client`. Only ``top`` draws with rich,
where that is there.
"""
