"""What it costs, measured where it can be checked.

    python -m bench            the canonical workload, six questions in about six minutes
    python -m bench --full     the same with 1,000,000 events already in the log
    python -m bench.append     what does a durable entry cost, beside LMDB without the log around it?
    python -m bench.send       … a durable send over HTTP, beside a server that stores nothing?
    python -m bench.rebuild    … an event folded into all views, beside reading it and doing nothing?
    python -m bench.sync       how long after a send's 200 does who waits get the event?
    python -m bench.growth     what becomes of it all when the log gets long?
    python -m bench.idle       what do those cost who wait and hear nothing?
    python -m bench.recovery   how long after a crash of the machine until the server answers? by itself only

    python -m bench.goals      what was to be reached, and what the last run reached
    python -m bench.picture    the last run, drawn
    python -m bench.peers      the same senders before any Matrix server

How to read it. Absolute figures belong to one machine, one file system and one hour: on the same
virtual machine they have moved by 1.6 times from one sitting to the next. So every question is asked
together with its floor or its ceiling, in the same run, one right after the other, and the *ratio* is
what can be compared. A figure is the median of several repetitions, with the least and the greatest of
them beside it. The flush is on wherever a number speaks of durability, and there is no option to
switch it off.

The authors of a server are not the ones to be believed about its speed: `workload.py` is what is sent,
`load.py` is who sends it, and `report.py` writes down the conditions. May import anything; of all
this only `torture/` is imported by the server's command line.
"""
