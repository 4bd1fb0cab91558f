"""What the studies' rows say: claims and the tests that decide them, figures, publication."""
