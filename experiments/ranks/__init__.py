"""The code that runs inside a rank, in a process of its own or in virtual time."""
