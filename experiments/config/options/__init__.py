"""The options of a run, each one field of a dataclass: to add an option, add a field to the file of its subject."""
