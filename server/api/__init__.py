"""The HTTP faces, one module per section of the client-server API; none imports another.

A handler parses, calls one decision or one reader, and answers. Each module ends with its `routes`;
`server/app.py` lays them all into one table.
"""
