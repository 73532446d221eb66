"""``python -m pacscore``: the command line."""

from pacscore.cli import main

if __name__ == "__main__":
    main()
