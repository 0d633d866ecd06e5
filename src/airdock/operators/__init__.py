"""Ready-made task kinds, one file each."""
