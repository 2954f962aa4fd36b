"""dsenv.toml as a validated, frozen value. What this module accepts is what the reference documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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


class Workstation(_Table):
    """A machine that `dsenv up` makes or wakes."""

    provider: str = Field("local", description="local, docker, aws, ssh, or a plug-in's name.")
    port: int | None = Field(
        None, ge=1, le=65535, description="Port for the SSH server of `local`; chosen when absent."
    )
    server: Literal["auto", "sshd", "builtin"] = Field(
        "auto",
        description="Which SSH server `local` uses: the system's sshd, our own, or whichever is there.",
    )


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
