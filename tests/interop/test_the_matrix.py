"""The matrix in README.md beside it is what the run of these tests shows."""

import os

import pytest
from tests.interop import matrix

pytestmark = pytest.mark.interop


def test_the_matrix_is_fresh(rows: matrix.Rows) -> None:
    """Every test before it has passed, or it is skipped: a peer that is absent shows nothing."""
    if os.environ.get("SMTPWIRE_MATRIX") != "write":
        assert matrix.dump(rows) == matrix.MATRIX.read_text(), (
            "run: SMTPWIRE_MATRIX=write python -m pytest -m interop && python -m tests.readme_parts"
        )
