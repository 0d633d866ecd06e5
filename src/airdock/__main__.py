"""The command line's first lines: `airdock`, and `python -m airdock`."""

import gc
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    # What is imported stays: looking it through for garbage takes a tenth of a short command's time.
    gc.set_threshold(100_000, 50, 100)
    from airdock.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
