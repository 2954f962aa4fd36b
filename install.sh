#!/bin/sh
# Installs dsenv for the user who runs this, from this folder, apart from every other Python.
#
#   ./install.sh              install or update the command `dsenv`
#   ./install.sh demo [...]   install, then run `dsenv demo`
#   ./install.sh test [...]   install what the tests need into .venv, then run every check; arguments go to pytest
#   ./install.sh --uninstall  remove the command and its Python environment
#
# Needs Python 3.11 or newer. PIP_* and UV_* variables and configuration files are respected.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=${XDG_BIN_HOME:-$HOME/.local/bin}
data=${XDG_DATA_HOME:-$HOME/.local/share}/dsenv
home=$data/cli
command=$bin/dsenv
test_user=dsenv-test

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    [ $# -lt 2 ] || say "  next: $2"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" = 0 ]; }

# --- Python -----------------------------------------------------------------

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The first suitable Python of those named.
first_python() {
    for candidate in "$@"; do
        if has "$candidate" && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

find_python() {
    first_python "$@" python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3 && return
    if has apt-get && is_root && ! has python3; then
        apt_install python3 >&2 && first_python /usr/bin/python3 && return
    fi
    found=$(python3 --version 2>/dev/null || echo "no python3")
    fail "dsenv needs Python 3.11 or newer, and this machine has $found" \
        "install one, for example: apt-get install python3.11 python3.11-venv"
}

# A Python can make an environment with pip in it only where ensurepip was not split off, as Debian does.
need_venv() {
    "$1" -I -c 'import venv, ensurepip' >/dev/null 2>&1 && return
    minor=$("$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package=python3-venv
    [ "$1" = /usr/bin/python3 ] || [ "$1" = /bin/python3 ] || package=python$minor-venv
    has apt-get || fail "$1 cannot make environments: it has no ensurepip" "install the venv package of your system"
    is_root || fail "the package $package is missing" "sudo apt-get install $package"
    apt_install "$package"
}

# --- system packages --------------------------------------------------------

apt_install() {
    say "installing $*"
    guard=
    # A package's daemon must not start because its files are needed.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        guard=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod 755 "$guard"
    fi
    log=$(mktemp)
    status=0
    apt_get install "$@" >"$log" 2>&1 || { apt_get update && apt_get install "$@"; } >"$log" 2>&1 || status=$?
    [ -z "$guard" ] || rm -f "$guard"
    [ "$status" = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    [ "$status" = 0 ] || fail "apt-get could not install: $*" "apt-get install $*"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends "$@" </dev/null
}

# --- packages ---------------------------------------------------------------

# uv does not read pip's settings: hand over the index and the certificates that pip was told to use.
share_pip_settings() {
    pip=$1
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        index=${PIP_INDEX_URL:-$("$pip" config get global.index-url 2>/dev/null || true)}
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ] && [ -n "${PIP_CERT:-}" ]; then
        export SSL_CERT_FILE="$PIP_CERT"
    fi
}

# Make a virtual environment at $2 with the Python $1 and install the rest with uv, or with pip where uv cannot.
fill_venv() {
    python=$1 target=$2
    shift 2
    "$python" -m venv "$target" || return
    "$target/bin/python" -m pip install -q --disable-pip-version-check uv || return
    share_pip_settings "$target/bin/pip"
    "$target/bin/uv" pip install -q --python "$target/bin/python" "$@" && return
    say "uv could not install; trying pip"
    "$target/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

# --- the three ways to install, best first ----------------------------------

by_uv() {
    has uv && uv venv -q --no-project --python "$1" "$2" && uv pip install -q --python "$2/bin/python" "$here"
}

by_pipx() {
    has pipx && PIPX_HOME="$2/pipx" PIPX_BIN_DIR="$2/bin" pipx install -q --python "$1" "$here" >&2
}

by_venv() {
    need_venv "$1" && fill_venv "$1" "$2" "$here"
}

install_user() {
    python=$(find_python)
    mkdir -p "$home" "$bin"
    if [ -e "$command" ] && [ ! -L "$command" ]; then
        fail "$command exists and is not ours" "move it away, then repeat"
    fi
    # Each installation has a folder of its own, so that the one in use stays whole until the link is switched.
    fresh=$home/$(date +%Y%m%dT%H%M%S).$$
    trap 'rm -rf "$fresh"' EXIT
    trap 'exit 130' INT TERM HUP
    say "installing dsenv with $python"
    by_uv "$python" "$fresh" || { rm -rf "$fresh" && by_pipx "$python" "$fresh"; } ||
        { rm -rf "$fresh" && by_venv "$python" "$fresh"; } || fail "dsenv could not be installed"
    "$fresh/bin/dsenv" --version >&2 || fail "the installed command does not start"
    ln -s "$fresh/bin/dsenv" "$command.$$"
    mv -f "$command.$$" "$command"
    trap - EXIT
    # The one before stays for programs that are still running from it.
    kept=0
    for old in $(ls -dt "$home"/*.[0-9]*); do
        kept=$((kept + 1))
        [ "$kept" -le 2 ] || rm -rf "$old"
    done
    say "installed: $command"
    case :$PATH: in
        *:"$bin":*) ;;
        *) say "add this line to your shell's start-up file:" && say "  export PATH=\"$bin:\$PATH\"" ;;
    esac
}

uninstall() {
    if [ -L "$command" ]; then
        case $(readlink "$command") in
            "$home"/*) rm -f "$command" ;;
            *) say "left $command: it leads elsewhere" ;;
        esac
    fi
    rm -rf "$home"
    rmdir "$data" 2>/dev/null || true
    say "dsenv is uninstalled"
    [ ! -d "$data" ] || say "your workstations, records and environments are still in $data"
}

# --- tests ------------------------------------------------------------------

system_packages() {
    missing=
    [ -x /usr/sbin/sshd ] || has sshd || missing="$missing openssh-server"
    has ssh || missing="$missing openssh-client"
    has rsync || missing="$missing rsync"
    has git || missing="$missing git"
    has tmux || missing="$missing tmux"
    has ps || missing="$missing procps"
    # The test cloud: machines in containers, made without any registry.
    [ -x /usr/sbin/dockerd ] || has dockerd || missing="$missing docker.io"
    [ -x /usr/sbin/debootstrap ] || has debootstrap || missing="$missing debootstrap"
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
    [ -x /usr/sbin/iptables ] || has iptables || missing="$missing iptables"
    [ -x /usr/sbin/ip ] || has ip || missing="$missing iproute2"
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 - one word for each package
    if has apt-get && is_root; then
        apt_install $missing
    else
        say "for all tests to run, install:$missing (for example: sudo apt-get install$missing)"
    fi
}

# Tests of permissions run as this user: as root they could not fail.
make_test_user() {
    is_root && has useradd || return 0
    id "$test_user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --password '*' "$test_user"
}

# A Python that the test user can run too, which one below root's home folder is not.
test_python() {
    if is_root && new_enough /usr/bin/python3; then
        echo /usr/bin/python3
    else
        find_python
    fi
}

run_tests() {
    cd "$here"
    system_packages
    make_test_user
    if ! [ -x .venv/bin/pytest ] || ! new_enough .venv/bin/python; then
        python=$(test_python)
        need_venv "$python"
        rm -rf .venv
        say "making .venv with $python"
        fill_venv "$python" .venv pip --upgrade
    fi
    share_pip_settings .venv/bin/pip
    .venv/bin/uv pip install -q --python .venv/bin/python --editable . --group dev ||
        .venv/bin/pip install -q --editable . --group dev
    exec .ci/check lint types contracts coverage -- "$@"
}

case ${1:-} in
    '') install_user ;;
    demo)
        shift
        install_user
        exec "$command" demo "$@"
        ;;
    test)
        shift
        run_tests "$@"
        ;;
    --uninstall) uninstall ;;
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$here/install.sh" ;;
    *) fail "install.sh does not know $1" "./install.sh --help" ;;
esac
