"""Dataset to encoder to detector."""
