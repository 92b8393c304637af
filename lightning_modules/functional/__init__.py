"""The mathematics, one formula a function: pure torch, no Lightning."""
