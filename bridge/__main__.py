"""`python -m bridge`, for machines where another program called `bridge` is found first."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder: nothing in it may stand in for a module of ours

    from bridge.cli import main

    main()
