"""Random clients against a simple model, and crowds of them against a real server."""
