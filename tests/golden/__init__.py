"""Small logs as earlier releases wrote them, which every later one must read, and fold to the same views.

`VERSION.ndjson` is a log in the form that `roomlog export` prints; once released it never changes.
`VERSION.digests` is what its views amount to, a projection a line; a line changes on purpose, together with
the version of its projection. `writing.py` made both.
"""
