"""Every section of the API as its clients meet it: over HTTP, from a real server."""
