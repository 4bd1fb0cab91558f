"""Entries that run the works: training, demo, tables and figures. Run from the root."""
