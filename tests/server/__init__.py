"""Tests of the server, in the rooms of the code that they test."""
