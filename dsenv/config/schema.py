"""dsenv.toml as a validated, frozen value. What this module accepts is what the reference documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from dsenv.errors import ConfigError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Platform = Literal["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Project(_Table):
    """The project's identity."""

    name: Name = Field(description="Name of the project; part of its workstations' names.")


class Environment(_Table):
    """What is locked, for which Python and which platforms."""

    source: str = Field("requirements.txt", description="File that lists the dependencies.")
    python: str = Field("3.11", description="Python version, as 3.11 or 3.11.7.", pattern=r"^3\.\d+(\.\d+)?$")
    platforms: list[Platform] = Field(["linux-64"], description="Platforms that the lock must serve.")
    apt: list[str] = Field([], description="System packages that the code needs.")
    os: str | None = Field(
        None,
        description="What production runs on, as debian-12 or ubuntu-24.04; new workstations get it. Default: the "
        "distribution whose own Python is the project's.",
        pattern=r"^[a-z][a-z0-9]*-[0-9][0-9.]*$",
    )


# Providers of ours that know a setting; a plug-in may use any.
_LOCAL, _DOCKER, _AWS, _SSH = ("local",), ("docker",), ("aws",), ("ssh",)
_OWN_PROVIDERS = frozenset({"local", "docker", "aws", "ssh"})


def _setting(default: Any, providers: tuple[str, ...], description: str, **limits: Any) -> Any:
    """A field that only some providers know."""
    return Field(
        default,
        description=f"{description} ({', '.join(providers)})",
        json_schema_extra={"providers": list(providers)},
        **limits,
    )


class Workstation(_Table):
    """A machine that `dsenv up` makes or wakes."""

    provider: str = Field("local", description="local, docker, aws, ssh, or a plug-in's name.")
    port: int | None = _setting(None, _LOCAL, "Port for the SSH server; chosen when absent.", ge=1, le=65535)
    server: Literal["auto", "sshd", "builtin"] = _setting(
        "auto", _LOCAL, "Which SSH server: the system's sshd, our own, or whichever is there."
    )
    host: str | None = _setting(None, _SSH, "The machine, by its name in your ssh configuration, or user@host.")
    image: str | None = _setting(
        None,
        _DOCKER + _AWS,
        "What it boots: an image's name; for aws an AMI's id or the SSM parameter that holds one. Default: Debian, "
        "or what the lock names.",
    )
    context: str | None = _setting(None, _DOCKER, "The docker context of the engine; default: the one in use.")
    size: str | None = _setting(
        None, _DOCKER + _AWS, "At least this: cpu=8,mem=32,gpu=1 (mem in GB). For docker these are its limits."
    )
    region: str | None = _setting(None, _AWS, "The region; default: the one of the profile in use.")
    profile: str | None = _setting(None, _AWS, "The profile of your AWS configuration; default: the one in use.")
    instance_type: str | None = _setting(None, _AWS, "The instance type; default: the cheapest that has `size`.")
    disk_gb: int = _setting(30, _AWS, "Size of the disk, in GB.", ge=8, le=16384)
    spot: bool = _setting(False, _AWS, "A spot instance where there is one, else one on demand.")
    subnet: str | None = _setting(None, _AWS, "The subnet's id; default: the default VPC's, in any zone.")
    security_group: str | None = _setting(
        None, _AWS, "A security group of yours, which is left as it is; default: one of its own."
    )
    ingress: list[str] = _setting(
        [], _AWS, "Addresses that may connect, as 203.0.113.7/32; default: the caller's alone, kept up to date."
    )
    key_pair: str | None = _setting(None, _AWS, "A key pair of yours that may log in too.")
    instance_profile: str | None = _setting(None, _AWS, "The instance profile (role) that the machine has.")
    access: Literal["public", "private", "session-manager"] = _setting(
        "public", _AWS, "How it is reached: its public or private address, or through SSM Session Manager."
    )
    jump_host: str | None = _setting(None, _AWS, "A host of your ssh configuration that leads there.")
    idle_stop_minutes: int = _setting(
        30, _DOCKER + _AWS, "It stops by itself when no work was done for so long; 0: never.", ge=0
    )
    max_hours: float = _setting(
        24.0, _DOCKER + _AWS, "It stops by itself so long after it was switched on; 0: never.", ge=0
    )

    @model_validator(mode="after")
    def _known_to_its_provider(self) -> Self:
        if self.provider in _OWN_PROVIDERS:
            for name in sorted(self.model_fields_set):
                known = providers_of(name)
                if known and self.provider not in known:
                    raise ValueError(f"{name} is a setting of {' and '.join(known)}, not of {self.provider}")
        if self.provider == "ssh" and not self.host:
            raise ValueError('ssh needs `host`, a name of your ssh configuration: host = "gpu-box"')
        return self


def check(settings: dict[str, Any]) -> Workstation:
    """Settings of a workstation from elsewhere than dsenv.toml. Raises ConfigError."""
    try:
        return Workstation.model_validate(settings)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(reason, hint="dsenv up --help") from None


def providers_of(setting: str) -> list[str]:
    """The providers that know a setting of a workstation; empty: all do."""
    extra = Workstation.model_fields[setting].json_schema_extra
    known = extra.get("providers", []) if isinstance(extra, dict) else []
    return [str(name) for name in known] if isinstance(known, list) else []


class Sync(_Table):
    """What goes to the workstation and what comes back."""

    ignore: list[str] = Field([], description="Patterns in .gitignore syntax, on top of .gitignore and .dsenvignore.")
    pull: list[str] = Field(["outputs/"], description="Patterns of what a run's outputs are; brought back after it.")


class Task(_Table):
    """A command with a name."""

    run: str = Field(description="The command; {name} is replaced by the parameter of that name.", min_length=1)
    needs: list[str] = Field([], description="Tasks that must succeed first.")
    params: dict[str, str | int | float | bool] = Field({}, description="Parameters and their default values.")


class Run(_Table):
    """What is sent with every run."""

    env: dict[str, str] = Field({}, description="Environment variables sent with every run.")
    secrets: list[str] = Field([], description="Variables taken from here at run time, never stored, always redacted.")


class Runs(_Table):
    """Where records live."""

    store: str | None = Field(None, description="A folder or s3://bucket/prefix; default: the user's data folder.")


class Config(_Table):
    """The whole file."""

    project: Project
    environment: Environment = Environment()
    workstations: dict[Name, Workstation] = Field({}, description="Workstations by name; `default` always exists.")
    sync: Sync = Sync()
    tasks: dict[Name, Task] = Field({}, description="Tasks by name, for `dsenv run TASK`.")
    run: Run = Run()
    runs: Runs = Runs()
