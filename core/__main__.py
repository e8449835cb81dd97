"""The command line as `python -m core`; an installed wheel calls it `vitrine`."""

from core.cli.main import main

if __name__ == "__main__":
    main()
