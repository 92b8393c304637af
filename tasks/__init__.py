"""What needs no Lightning: plug-in tasks, how they are found, run and recorded."""
