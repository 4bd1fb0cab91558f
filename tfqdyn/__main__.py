"""`python -m tfqdyn`."""

from tfqdyn.cli import main

main()
