"""What a run leaves: maps as Zarr, an index as Parquet, pictures."""
