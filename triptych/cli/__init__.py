"""The command line: one file per verb, and the place where exceptions become messages and exit codes."""
