"""What every command adds by itself: checkpoints, resume, the record of a run, predictions."""
