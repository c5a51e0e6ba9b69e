"""Stock clients, as their makers publish them, living their ordinary life against a real server."""
