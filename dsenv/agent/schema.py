"""The shape of a record: what capture writes and every reader may rely on. FORMAT changes when a reader must.

A record is a folder, or the objects under a prefix, at `runs/<yyyy>/<mm>/<dd>/<run-id>/` in a store:

    started.json    Started: written before the command starts, and again when the code snapshot is known
    heartbeat       text: microseconds since the epoch, rewritten every few seconds while the run lives
    record.json     Record: written last, in one step; a run without one is running or lost
    frames.json     Frames: tracebacks with source and bounded locals
    output          stdout and stderr as one log of chunks, see `OUTPUT_HEADER`. While a run lives in an object
                    store it is a sequence of objects output.000000, output.000001, ... to be joined in order
    inputs.jsonl    one Input a line
    random.jsonl    one Draw a line: what unseeded generators were seeded with
    blackbox.jsonl  one BlackBox a line: memory and stacks near a limit, at a time-out and at SIGTERM. Written while
                    the run lives, so that it is there when the machine is lost

and beside `runs/`:

    blobs/sha256/<ab>/<hex>              bytes by their SHA-256: verified when read
    index/<yyyy>/<mm>/<dd>/<status>/<run-id>.json   Summary; status is running, succeeded or failed

Times are microseconds since the epoch, sizes are bytes, file names that are not UTF-8 are kept with Python's
surrogateescape (JSON "\\udcXX"). Nothing in a record is executed or unpickled when it is read.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict

from dsenv.agent import layout

FORMAT = layout.FORMAT
OUTPUT_HEADER, PACK_HEADER = layout.OUTPUT_HEADER, layout.PACK_HEADER
MAX_PACKED_FILE, MAX_TREE_BYTES = layout.MAX_PACKED_FILE, layout.MAX_TREE_BYTES
COPIED_LATE = layout.COPIED_LATE


class Frame(TypedDict):
    """Where in the user's code a failure is; what makes two failures the same together with type and message."""

    file: str  # relative to the project; `site-packages/...` or `lib/...` for code that is not the user's
    function: str
    line: int  # shown, never compared
    line_text: str  # the source line without indentation


class _Identity(TypedDict):
    kind: str  # exception | signal | exit
    type: Optional[str]  # qualified name of the exception; builtins without their module
    message: Optional[str]  # normalised: numbers, addresses, paths and ids are replaced
    frame: Optional[Frame]
    signal: Optional[str]  # SIGKILL, ... : never a negative number
    cause: Optional[str]  # for a signal: out-of-memory, time-out, ...; for an exception: type of its __cause__
    exit: Optional[int]


class Signature(_Identity, total=False):
    """The identity of a failure. Two signatures are the same when all but `frame.line` and `exit` are equal
    after `dsenv.agent.signature.normalise`; `exit` counts only for kind `exit`. The frame of a signal that came from
    elsewhere is where the process was: it does not count; nor does that of an exit or a crash, where one has none."""

    presumed: bool  # of a run that was lost: what its last moments speak for. Never compared


class Redaction(TypedDict):
    """Something that was hidden. Never its value."""

    where: str  # env | argv | output | message | locals | stdin | vcs
    name: str  # the variable, the argument's index, the frame
    reason: str  # name | value


class Started(TypedDict, total=False):
    """started.json. Fields from `code` on come with the second writing."""

    format: int
    id: str
    kind: str  # production | development
    project: Optional[str]
    task: Optional[str]
    command: List[str]  # argv, redacted
    cwd: str
    started: int
    pid: int
    host: Dict[str, Any]  # name, system, machine
    dsenv: str  # version of the agent that wrote this
    hash_seed: str  # PYTHONHASHSEED the command ran with
    env: Dict[str, str]  # the command's environment, redacted
    umask: int
    timeout: Optional[float]  # seconds that the command was given
    kill_after: Optional[float]  # seconds from SIGTERM to SIGKILL at the time-out
    stdin: "Stdin"
    redactions: List[Redaction]
    code: "Code"
    environment: "EnvironmentFacts"
    fingerprint: Dict[str, Any]


class Code(TypedDict):
    """The code that ran."""

    root: str  # absolute folder it lay in
    tree: Optional[str]  # blob: Tree as JSON
    files: int
    bytes: int
    vcs: Optional[Dict[str, Any]]  # system, commit, branch, dirty (bool), remote (redacted)
    skipped: List[Dict[str, str]]  # path, reason: too-large | secret | ignored


class TreeFile(TypedDict):
    path: str  # relative, with /
    mode: int  # permission bits
    size: int
    sha256: str


class Tree(TypedDict):
    """A folder's content. `packs` are blobs that together hold the content of all files, see PACK_HEADER."""

    format: int
    files: List[TreeFile]
    links: List[Dict[str, str]]  # path, target
    folders: List[str]  # empty ones
    packs: List[str]


class _DistributionName(TypedDict):
    name: str
    version: str


class Distribution(_DistributionName, total=False):
    url: str  # from direct_url.json, redacted
    commit: str
    editable: bool
    installer: str


class EnvironmentFacts(TypedDict, total=False):
    """What the command could import."""

    lock: Optional[str]  # blob: the project's pylock.toml, when there is one
    lock_id: Optional[str]  # the environment id of that lock
    python: Dict[str, Any]  # executable, version, implementation, prefix
    distributions: List[Distribution]
    satisfied: Optional[bool]  # the distributions are what the lock says


class _InputName(TypedDict):
    path: str  # absolute; the URI of an object


class Input(_InputName, total=False):
    """A file that was read. `blob` is absent when the content was above the cap or could not be kept."""

    size: int
    sha256: str
    blob: str
    mode: int
    mtime_ns: int
    how: str  # open | os.open | sqlite | listed | native | child | botocore | fsspec | pyarrow | declared
    missing: bool  # it was asked for and was not there
    entries: List[str]  # of a folder that was listed: its names, in the order in which the system gave them
    version: str  # of an object: its version id
    etag: str  # of an object
    call: str  # of an object's service: operation and parameters
    answer: str  # blob: what the service said to that call, beside the content, as JSON
    when: int
    pid: int
    note: str


class Draw(TypedDict):
    """Entropy that a generator took from the system: with it, the generator gives the same numbers again.

    A process is named by how it came to be, which a second run repeats: its parent's name, a dot, and the number of
    the child among its parent's children. The command's first Python is "0". A Python that another program started
    has that program's name with ~ and digits of its arguments; + and a number where these are equal, too.
    """

    process: str
    source: str  # random | numpy | torch | os.urandom | ...
    n: int  # counted from 0 within process and source
    value: str  # hexadecimal; empty when something was drawn and, as it may be a key, not recorded


class Stack(TypedDict, total=False):
    """Where a thread was."""

    pid: int
    thread: str
    frames: List["FrameDetail"]  # outermost call first


class BlackBox(TypedDict, total=False):
    """What a process was doing when it came near its end."""

    when: int
    why: str  # memory | time-out | SIGTERM
    share: float  # of the memory limit that was reached: 0.8, 0.9, 0.95 or 0.98
    memory: int  # bytes in use
    limit: int
    stacks: List[Stack]


class Stdin(TypedDict, total=False):
    kind: str  # terminal | pipe | file | null
    blob: str
    size: int
    truncated: bool
    redacted: bool  # there were secrets in it, which `blob` has not


class Resources(TypedDict, total=False):
    wall_seconds: float
    user_seconds: float
    system_seconds: float
    max_rss: int


class Record(Started, total=False):
    """record.json: all of Started, and how it ended."""

    status: str  # succeeded | failed
    exit: Optional[int]
    signal: Optional[str]
    ended: int
    signature: Optional[Signature]
    related: List[Signature]  # failures of other processes that did not end the command
    inputs: int  # lines of inputs.jsonl
    output_bytes: int  # size of the joined output log
    resources: Resources
    trouble: List[str]  # what capture could not do


class Summary(TypedDict, total=False):
    """A line of `dsenv runs`, and the content of an index entry."""

    id: str
    status: str
    exit: Optional[int]
    signal: Optional[str]
    started: int
    ended: Optional[int]
    command: List[str]
    project: Optional[str]
    task: Optional[str]
    kind: str
    signature: Optional[Signature]


class Local(TypedDict, total=False):
    """One local variable, bounded."""

    name: str
    type: str
    preview: str  # what repr shows, cut and redacted
    length: int
    shape: List[int]
    dtype: str
    items: List["Local"]  # first items of a container or fields of an object; `name` is the key's preview
    columns: List[Dict[str, Any]]  # data frames: name, dtype, nulls, unique, min, max, top (value counts)
    blob: str  # small arrays, as npy
    redacted: bool


class _FramePlace(TypedDict):
    file: str  # absolute, as it ran
    function: str
    line: int


class FrameDetail(_FramePlace, total=False):
    first_line: int  # number of source[0]
    source: List[str]
    user: bool  # the user's code, not a library
    module: str
    locals: List[Local]


class _ExceptionType(TypedDict):
    type: str


class ExceptionDetail(_ExceptionType, total=False):
    message: str
    notes: List[str]
    link: Optional[str]  # how the next (earlier) exception of the list led to this one: cause | context
    frames: List[FrameDetail]  # outermost call first
    members: List["ExceptionDetail"]  # of an exception group


class Failure(TypedDict, total=False):
    """What one process knew about a failure."""

    pid: int
    ppid: int
    argv: List[str]
    when: int
    thread: str
    # An exception: uncaught, exit (it was being handled, or is the exit itself), logged, thread, worker, task (of
    # asyncio), notebook, unraisable. A place: fatal (a crash), time-out, memory, signal; its "exception" is named so.
    how: str
    exceptions: List[ExceptionDetail]  # the one that ended it first, then its causes


class Frames(TypedDict):
    """frames.json."""

    format: int
    primary: Optional[int]  # index into failures of the one that the signature is about
    failures: List[Failure]
