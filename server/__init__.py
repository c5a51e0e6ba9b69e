"""The Matrix server: decides what becomes a fact, and answers clients.

The layers, from the top; imports point down only:

    cli/ app.py            wiring: the command line, and the application that it serves
    api/                   the HTTP faces, one module per section of the specification
    http/                  HTTP plumbing: routes by table, parsing, answers, errors, limits
    appservices/           telling application services of events, asking them, acting for them
    sync/                  reading for /sync, /events and /initialSync; who is waiting
    users/ rooms/          decisions: functions of (turn, arguments) that return facts
    writer.py              the one place that appends to the log
    restore_points.py      has the views flushed now and then
    patrol.py              reads the log while nobody asks for it, to find rot
    homeserver.py errors.py config.py    plain values

Open `api/room_events.py` first: the way of one message begins there.
"""
