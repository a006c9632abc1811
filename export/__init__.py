"""Checkpoint to signed bundle."""
