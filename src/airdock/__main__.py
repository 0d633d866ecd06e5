"""`python -m airdock` is the `airdock` command."""

from airdock.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
