"""Files: read with care where others made them, written whole where we do."""
