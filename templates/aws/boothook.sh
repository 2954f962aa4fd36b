#!/bin/sh
# dsenv: runs first at each boot. What switches the machine off is set before anything else can fail.
umask 022

@write@
@files@
if [ -d /run/systemd/system ]; then
@start@
else
    setsid @loop@ >/dev/null 2>&1 </dev/null &
fi

# No cloud-init setting for passwords: it restarts sshd in the middle of our first connections. Dead clients are seen within two minutes, so that they do not keep the machine up.
always /etc/ssh/sshd_config.d/10-dsenv.conf 644 <<'DSENV_END_OF_FILE'
ClientAliveInterval 30
ClientAliveCountMax 4
PasswordAuthentication no
DSENV_END_OF_FILE

# Keys: once for each user data. The first boot's are installed by cloud-init as well, which does that later.
mkdir -p /var/lib/dsenv
keys=@host_key_public@
if [ "$(cat /var/lib/dsenv/keys 2>/dev/null)" != "$keys" ]; then
    (umask 077 && cat >/etc/ssh/ssh_host_ed25519_key.new) <<'DSENV_END_OF_FILE'
@host_key@
DSENV_END_OF_FILE
    echo "$keys" >/etc/ssh/ssh_host_ed25519_key.pub
    mv -f /etc/ssh/ssh_host_ed25519_key.new /etc/ssh/ssh_host_ed25519_key
    rm -f /etc/ssh/dsenv_next_host_key /etc/ssh/dsenv_next_host_key.pub
    home=$(getent passwd @user@ | cut -d: -f6)
    if [ -n "$home" ] && [ -d "$home" ]; then
        mkdir -p "$home/.ssh"
        line=@client_key@
        grep -qxF "$line" "$home/.ssh/authorized_keys" 2>/dev/null || echo "$line" >>"$home/.ssh/authorized_keys"
        chmod 700 "$home/.ssh"
        chmod 600 "$home/.ssh/authorized_keys"
        chown -R "$(stat -c %u:%g "$home")" "$home/.ssh"
    fi
    echo "$keys" >/var/lib/dsenv/keys
fi

@packages_script@
set -- @packages@
if [ $# -gt 0 ] && ! grep -q '"done"' /var/lib/dsenv/packages.status 2>/dev/null; then
    echo '{"state": "waiting"}' >/var/lib/dsenv/packages.status
    if [ -d /run/systemd/system ]; then
        cat >/run/systemd/system/dsenv-packages.service <<DSENV_END_OF_FILE
[Unit]
Description=dsenv: system packages that the code needs
Wants=network-online.target
After=network-online.target cloud-config.service

[Service]
Type=oneshot
ExecStart=/usr/local/lib/dsenv/packages $*
DSENV_END_OF_FILE
        systemctl daemon-reload
        systemctl start --no-block dsenv-packages.service
    else
        setsid /usr/local/lib/dsenv/packages "$@" >/dev/null 2>&1 </dev/null &
    fi
fi
exit 0
