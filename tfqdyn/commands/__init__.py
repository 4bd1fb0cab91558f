"""What the command line does beyond one analysis."""
