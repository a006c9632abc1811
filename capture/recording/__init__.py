"""Camera to footage that a power cut cannot spoil: record, rotate, salvage."""
