"""What application services are told of, when, and what they are asked for."""
