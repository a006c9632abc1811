"""The verbs of the command line, a file for each kind of user. Each imports its stage when it is called."""
