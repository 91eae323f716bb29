"""ZeroMQ sockets, with a plain stream beside them for large payloads."""
