"""The storage benchmark: formats, strategies and the outside world on the user's own images and disk.

``measure`` runs it, ``results`` is what it found and its JSON (``docs/benchmark.md``), ``page`` and ``advice`` say it
to people, ``compare`` tells what changed between two runs. What is measured is a table: ways to store (``ways``) by
workloads (``workloads``). A way, a strategy or a format of somebody else's joins by entry point.
"""
