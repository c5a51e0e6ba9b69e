"""What may happen in a room: decisions, and the rules that they rest on.

`sending.py`, `membership.py`, `creation.py`, `redaction.py` and `aliases.py` are decisions, functions of
(turn, arguments). `drafting.py` is how they make events. `auth_rules.py`, `power_level_rules.py`,
`power_levels.py`, `event_format.py` and `canonical_json.py` are the rules, pure and tested without a
server; `refusal.py` is how they say no.
`visibility.py` says who may read an event, `client_format.py` what it looks like to a client.
"""
