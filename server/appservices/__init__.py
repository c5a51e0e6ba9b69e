"""Application services: programs beside the server that act for users of their own and are told of events.

A bridge or a bot registers by a file that the operator names at start. What follows from it:
`registration.py` says which identifiers are whose, `delivery.py` hands over events in log order, those
that `interest.py` says concern a service, as `transactions.py`; and `queries.py` asks a service for users
and aliases that may be its to make. What leaves for a service leaves through `connection.py`.

Where: application service API.
"""
