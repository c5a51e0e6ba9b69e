"""Who the users are: registering, logging in, devices and tokens. Decisions, as in `server/rooms/`.

`passwords.py` and `tokens.py` make what may be stored of a secret; the secret itself never reaches the log.
`interactive_sessions.py` remembers, in memory only, how far somebody has come in proving who they are.
"""
