"""Present values: units, words, tables, colours."""
