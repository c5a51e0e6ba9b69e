"""What the log says, and the folds that turn it into views.

Knows Matrix facts, but no HTTP, no clock and no randomness: a fold depends on the entries alone, so
that views rebuilt from the log equal views that followed it, byte by byte. May import `eventlog`.

Start with `facts.py` (the vocabulary of the log), `projection.py` (the shape of a fold) and
`registry.py` (all of them, one line each). `views.py` is the store under every view, with
`restore_points.py` for a crash of the machine; `entries.py` is where views get what stands in the log;
`follower.py` brings views up to the log's head, live or from nothing. Each projection's module has its
`apply` and, below it, the read functions over its own tables; no other module touches those tables.
"""
