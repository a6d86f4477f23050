"""Fuzzing: one target a file in ``targets``, each with its oracle; ``run.py`` runs them."""
