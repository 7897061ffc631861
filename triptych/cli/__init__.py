"""The command line: one file per verb, and the place where mistakes become messages and exit codes."""
