"""Virtual time: every rank is a greenlet of one process, the network is computed."""
