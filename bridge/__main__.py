"""`python -m bridge`, for machines where another program called `bridge` is found first."""

from bridge.cli import main

if __name__ == "__main__":
    main()
