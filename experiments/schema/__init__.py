"""The content of every result file, typed and versioned, and how it is read and written."""
