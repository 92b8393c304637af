"""What a configuration names to get pictures."""
