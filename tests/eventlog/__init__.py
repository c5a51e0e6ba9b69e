"""Tests of the log: the contract on every engine, then what is particular to each part."""
