"""What tests are made with: servers, clients, generators, a model of rooms, and faults."""
