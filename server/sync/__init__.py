"""Reading for clients that follow along: /sync, and /initialSync, /events and /messages before it.

Everything here reads; nothing decides. `tokens.py` is a place in the log as clients hold it, `audience.py`
who is waiting, `filters.py` what a client wants to hear of. `following.py` is /sync: it puts together what
`room_sections.py` has to say about each room, with the state from `room_state.py`, the counts and heroes
from `summaries.py`, and the events in the form of `sync_format.py`. `legacy.py` is its two predecessors of
2015, `pagination.py` the pages of /messages; `event_context.py` and `timestamps.py` find a place in history.

A read never spans an `await`. That an answer is still of one moment follows from its bounds: it speaks of
the log up to one position, and what stood there does not change.
"""
