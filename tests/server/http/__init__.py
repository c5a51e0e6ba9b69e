"""Tests of the HTTP plumbing; what shows on the wire is tested over real sockets."""
