#!/bin/sh
# Install system packages; what comes of it is written to /var/lib/dsenv/packages.status in one line of JSON.
status=/var/lib/dsenv/packages.status
log=/var/log/dsenv-packages.log
timers="apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service"

tell() { # STATE CODE
    list=
    for name in $packages; do list="$list${list:+, }\"$name\""; done
    mkdir -p "${status%/*}"
    printf '{"state": "%s", "code": %s, "packages": [%s]}\n' "$1" "$2" "$list" >"$status.new"
    mv -f "$status.new" "$status"
}

install() {
    if command -v apt-get >/dev/null 2>&1; then
        export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        # The lists of a fresh image are old or absent. Another apt may be at work for a while.
        for attempt in 1 2 3; do
            apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update && break
            sleep $((attempt * 5))
        done
        # shellcheck disable=SC2086 # words
        apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 install $packages
    elif command -v dnf >/dev/null 2>&1; then
        # shellcheck disable=SC2086 # words
        dnf -q -y install $packages
    else
        echo "there is neither apt-get nor dnf" >&2
        return 127
    fi
}

packages=$*
tell installing 0
if [ -d /run/systemd/system ]; then
    # shellcheck disable=SC2086 # words
    systemctl mask --runtime --now $timers >/dev/null 2>&1
fi
install >"$log" 2>&1
code=$?
if [ -d /run/systemd/system ]; then
    # shellcheck disable=SC2086 # words
    systemctl unmask --runtime $timers >/dev/null 2>&1
    systemctl start apt-daily.timer apt-daily-upgrade.timer >/dev/null 2>&1
fi
if [ "$code" -eq 0 ]; then tell done 0; else tell failed "$code"; fi
exit "$code"
