"""Networks in pure torch, no Lightning."""
