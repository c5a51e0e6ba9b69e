"""Tests of the decisions about users, and of what is remembered while one proves who they are."""
