"""Parsers that meet bytes from outside, given bytes of every kind: they refuse in the ways they document."""
