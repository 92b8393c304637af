"""Exact figures of a stage: what a configuration names to get numbers."""
