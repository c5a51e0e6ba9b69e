"""Reading for clients that follow along: /sync, and /initialSync, /events and /messages before it.

Everything here reads; nothing decides. `tokens.py` is a place in the log as clients hold it, `audience.py`
who is waiting, `room_sections.py` what one room has to say between two places, `following.py` is /sync,
`legacy.py` its two predecessors of 2015, `pagination.py` the pages of /messages.

A read never spans an `await`. That an answer is still of one moment follows from its bounds: it speaks of
the log up to one position, and what stood there does not change.
"""
