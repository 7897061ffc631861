"""`python -m triptych`: the installed command, where only the interpreter is on the path."""

from triptych.cli.main import main

if __name__ == "__main__":
    main()
