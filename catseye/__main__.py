"""``python -m catseye``: the command line of the interpreter that is named."""

from catseye.cli import main

if __name__ == "__main__":
    main()
