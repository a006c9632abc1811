"""Bundles that are to be refused."""
