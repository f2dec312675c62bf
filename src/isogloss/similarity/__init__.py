"""Similarity of two views: pure numerics, no torch, no files."""
