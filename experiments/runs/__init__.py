"""One run as a thing: its folder, its typed summary, its execution."""
