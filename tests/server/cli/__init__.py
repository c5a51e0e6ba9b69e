"""Tests of the command line: the installed program, run as people run it."""
