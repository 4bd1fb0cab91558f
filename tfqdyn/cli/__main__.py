"""`python -m tfqdyn.cli`."""

from tfqdyn.cli import main

main()
