"""The verb `fingerprint`: everything about this place and the Python that runs it, on standard output.

To the layers of agent/fingerprint.py it adds, when asked for:

    content, changed, unlisted   see agent/verify.py
    lock_id        the id of the lock that the environment was made from
    apt            name to installed version or null, for the packages asked for, where dpkg is
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from typing import List, Optional

from dsenv.agent import environments, fingerprint, numeric, verify


def _become(environment_id: str, envs_dir: Optional[str], arguments: List[str]) -> None:
    """Go on as the Python of an environment; stay as we are when it is not here."""
    found = environments.present(environment_id, os.environ, envs_dir)
    if found:
        python = environments.python_of(found["prefix"])
        os.execv(python, [python, os.path.abspath(sys.argv[0]), "fingerprint", *arguments])  # noqa: S606 - no shell


def main(arguments: List[str]) -> int:
    """The verb: `fingerprint [numeric] [content] [apt:NAME]... [environment:ID [envs:FOLDER]]`.

    Writes one JSON document about the Python that runs it, or about the environment ID's when that is here.
    """
    values = dict(word.partition(":")[::2] for word in arguments)
    if values.get("environment"):
        _become(values["environment"], values.get("envs"), [word for word in arguments if word[:3] != "env"])
    own = os.path.realpath(sys.argv[0])
    path = [entry for entry in sys.path if os.path.realpath(entry or ".") != own]
    facts = fingerprint.collect(os.environ, path)
    if "numeric" in arguments:
        facts["numeric"] = numeric.collect()
    if "content" in arguments:
        site = sysconfig.get_paths()["purelib"]
        if os.path.isdir(site):
            checked = verify.check(site)
            facts.update(content=checked.content, changed=checked.changed, unlisted=checked.unlisted[:100])
    manifest = environments.read_manifest(sys.prefix)
    if manifest:
        facts["lock_id"] = manifest.get("id")
    wanted = [word[len("apt:") :] for word in arguments if word.startswith("apt:")]
    if wanted and os.path.exists(fingerprint.DPKG_STATUS):
        installed = fingerprint.installed_packages()
        facts["apt"] = {name: installed.get(name) for name in wanted}
    json.dump(facts, sys.stdout)
    return 0
