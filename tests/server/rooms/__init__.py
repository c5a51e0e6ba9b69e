"""The rules of rooms."""
