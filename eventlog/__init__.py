"""Bytes and positions: the append-only log under everything else.

Knows no Matrix and imports nothing of the project. Start with `log.py`, the contract, then
`memory_log.py`, which is the contract in its shortest form. `envelope.py` is what an entry looks
like in storage, `compression.py` makes it short, `lmdb_log.py` keeps it on disk (with `lmdb_file.py`,
`lmdb_meta.py` and `ownership.py` below it), `group_commit.py` lets many callers share one flush.
`check.py` walks a log and reports what is wrong with it (`verifying.py`) and with its pages
(`lmdb_accounts.py`), `extraction.py` takes out what is whole (both by way of a `reading_child.py`).
`torn_copy.py` refuses a file that was copied while it was written, `network_mounts.py` one on another
machine; `prefix.py` is a log as it was. For views, which are LMDB files too and are not flushed with every
commit, there are `lmdb_restore_point.py` and the pieces of `writing_out.py`.

Promises: `append` returns only what would survive a power cut; positions have no gaps and are
never reordered; whatever `read` yields has had its digest and its chain verified.
"""
