"""Ed25519 keys in OpenSSH's format, made here: no ssh-keygen is needed."""

from __future__ import annotations

from pathlib import Path

from dsenv.state import store


def ensure(file: Path) -> str:
    """The public key of the pair at `file`, made when it is missing: "ssh-ed25519 AAAA...". Raises StateError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = None
    if file.is_file():
        try:
            key = serialization.load_ssh_private_key(file.read_bytes(), None)
        except (ValueError, UnsupportedAlgorithm):
            key = None  # cut off by a full disk or a crash: a new one costs nothing but the pin, which is made anew
    if not isinstance(key, Ed25519PrivateKey):
        private, made = new()
        store.write_bytes(file, private)
        return made
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


def new() -> tuple[bytes, str]:
    """A new pair: the private key as the file that OpenSSH reads, and the public one as a line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, public.decode()
