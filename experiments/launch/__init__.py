"""Start, watch, recover and end the processes of a job."""
