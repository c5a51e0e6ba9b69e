"""`python -m server.cli`: the command line from a checkout, where no console script is installed."""

from server.cli import main

if __name__ == "__main__":
    main()
