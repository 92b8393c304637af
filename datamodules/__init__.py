"""What goes in: LightningDataModules that hold their data as tensors and yield whole batches."""
