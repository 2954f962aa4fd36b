"""The image below every machine of the tests: Debian with an SSH server, made by debootstrap, once per machine.

No registry of images is needed, only the mirror that apt uses here. `python -m tests.lab.base_image` makes it by hand.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.locks import held

REPOSITORY = "dsenv-lab-base"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "openssh-server", "python3", "iproute2", "procps")
# Login shells, sshd's sessions (both through PAM) and the engine's own exec find the certificates.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = {"SSL_CERT_FILE": CERTIFICATES, "PIP_CERT": CERTIFICATES, "CURL_CA_BUNDLE": CERTIFICATES}


def ensure() -> str:
    """The image's name, after it was made where that was needed: a minute, and a hundred megabytes from the mirror."""
    name = f"{REPOSITORY}:{_digest()}"
    with held("base-image"):
        if not exists(name):
            _make(name)
    return name


def exists(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def certificates() -> bytes:
    """What this machine trusts: between it and the mirrors may be a proxy whose certificate only it knows."""
    bundle = Path(CERTIFICATES)
    return bundle.read_bytes() if bundle.exists() else b""


def _digest() -> str:
    recipe = hashlib.sha256(Path(__file__).read_bytes())
    recipe.update(certificates())
    return recipe.hexdigest()[:12]


def _make(name: str) -> None:
    # Device files cannot be made on a temporary folder that is mounted `nodev`; the engine's disk has none of that.
    with tempfile.TemporaryDirectory(prefix="dsenv-lab-", dir="/var/tmp") as folder:
        tree = Path(folder) / "tree"
        try:
            _debootstrap(tree)
            _settle(tree)
            _import(tree, name)
        finally:
            # A mount that debootstrap left must not be followed.
            subprocess.run(["umount", "-l", str(tree / "proc")], capture_output=True, check=False)


def _debootstrap(tree: Path) -> None:
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)]
    mirror = _mirror()
    done = subprocess.run([*argv, *([mirror] if mirror else [])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"debootstrap ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def _mirror() -> str:
    """The mirror that this machine uses for the same distribution; empty: debootstrap's own choice."""
    if not shutil.which("apt-get"):
        return ""
    argv = ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(CODENAME) $(COMPONENT)"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        site, *rest = line.split()
        if rest == ["Debian", SUITE, "main"]:
            return site
    return ""


def _settle(tree: Path) -> None:
    (tree / CERTIFICATES.lstrip("/")).write_bytes(certificates())
    lines = [f'{key}="{value}"\n' for key, value in ENVIRONMENT.items()]
    (tree / "etc/environment").write_text("".join(lines), encoding="utf-8")
    # Each machine makes host keys of its own.
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for cached in (tree / "var/cache/apt/archives").glob("*.deb"):
        cached.unlink()
    (tree / "run/sshd").mkdir(parents=True, exist_ok=True)


def _import(tree: Path, name: str) -> None:
    changes = [argument for key, value in ENVIRONMENT.items() for argument in ("-c", f"ENV {key}={value}")]
    argv = ["docker", "import", *changes, "-c", 'CMD ["/bin/bash"]', "-", name]
    pack = ["tar", "-C", str(tree), "--numeric-owner", "-c", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        done = subprocess.run(argv, stdin=packed.stdout, capture_output=True, text=True, check=False)
    if packed.returncode or done.returncode:
        raise RuntimeError(f"docker import of {name}: {done.stderr[-1000:]}")


if __name__ == "__main__":
    print(ensure())
