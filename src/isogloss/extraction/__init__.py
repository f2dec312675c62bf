"""From inputs to committed units: which unit is next, its batches, its rows."""
