"""Property tests give the same verdict on every machine, however slow: fixed examples, no time limit per example."""

from hypothesis import HealthCheck, settings

settings.register_profile("syncbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("syncbench")
