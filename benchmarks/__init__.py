"""How fast smtpwire is, as ratios to named peers: ``python -m benchmarks --help``."""
