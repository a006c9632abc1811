"""What executes a bundle's graph."""
