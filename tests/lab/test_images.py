"""What hosts have from this machine: a mirror, certificates, an index of packages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.client import Lab
from tests.lab.connecting import Account, output

pytestmark = pytest.mark.slow


@pytest.fixture
def account(lab: Lab) -> Iterator[Account]:
    made = Account(lab, "images")
    yield made
    made.close()


@pytest.mark.network
def test_a_host_reaches_the_mirror_and_the_index(account: Account) -> None:
    with account.connect(account.launch()) as client:
        assert output(client, "sudo apt-get -qq update && sudo apt-get install -yqq hello >/dev/null && hello")
        assert output(client, "python3 -m venv v && v/bin/pip -q download --no-deps six && ls six-*.whl")
        # A host must not learn who this machine is, should it be an instance itself.
        assert output(client, "curl -s -m 2 http://169.254.170.2/ || echo $?") == "7"
