"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# The machine that runs the tests is a shared one: an example that is slow there is no failure.
settings.register_profile("spfmilter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spfmilter")
