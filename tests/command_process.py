"""What a forked process does: point both streams to the log, run the source that comes first, then the command."""

import os
import sys

# Not when doctests are looked for here.
if __name__ == "command_process":
    given = globals()["given"]
    log = os.open(given["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(given["environment"])
    sys.argv = ["triptych", *given["arguments"]]

    from triptych.cli.main import main

    exec(given["before"], {})
    main()
