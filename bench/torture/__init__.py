"""`roomlog torture`: what a durable server has to bear, done to this one on the user's own disk.

A promise that was never broken on purpose is a hope. Each part breaks something that it can break without
the server's help (a process, a power line, a system call, a disk), against a scratch log, and then looks
whether what was acknowledged is there. And each part has a control: the same with one safeguard taken
away, which has to be found out, because a test that cannot fail proves nothing.

`part.py` is the shape of a part; `session.py` runs them and tells what came of it. A part is a module whose
docstring is its method and whose `PART` is listed in `registry.py`. Shipped with the server, so that the
proof can be repeated where it counts. May import anything but the command line, which imports it.
"""
