"""The folds, and what they rest on."""
