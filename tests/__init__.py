"""Top level of the test suite."""
