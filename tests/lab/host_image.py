"""The "AMI" of the test cloud: systemd as PID 1, the distribution's own cloud-init with its EC2 datasource, sshd.

`python -m tests.lab.host_image` makes it by hand.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

from tests.lab import base_image
from tests.lab.locks import held

REPOSITORY = "dsenv-lab-host"
PACKAGES = (
    "systemd-sysv dbus dbus-user-session libpam-systemd sudo curl cloud-init cloud-guest-utils python3-venv tmux rsync "
    "git cron iptables iputils-ping"
)
# What a container has no devices or rights for, or what would only delay the boot.
MASKED = (
    "getty.target console-getty.service systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service "
    "systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-resolved.service "
    "systemd-timesyncd.service systemd-modules-load.service sys-kernel-debug.mount sys-kernel-config.mount "
    "sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount systemd-remount-fs.service apt-daily.timer "
    "apt-daily-upgrade.timer e2scrub_reap.service e2scrub_all.timer fstrim.timer systemd-binfmt.service "
    "proc-sys-fs-binfmt_misc.automount"
)
# cloud-init takes a host for EC2, and asks for a metadata token, only where DMI says so. In a container DMI is the
# host's and it does not look: one line lets the image say what the firmware of an instance says.
DMI = "ec2e1916-9099-7caf-fd21-012345abcdef"
PATCH = (
    r"0,/^    if is_container():/s//    if os.path.exists(\"\/etc\/lab\/dmi\/\" + key):\n"
    r"        return open(\"\/etc\/lab\/dmi\/\" + key).read().strip()\n    if is_container():/"
)
# A dhclient that nobody answers is waited for a minute.
DOCKERFILE = f"""
FROM {{base}}
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {PACKAGES} \
 && rm -f /sbin/dhclient && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* && : > /etc/machine-id && systemctl mask {MASKED}
COPY files/ /
RUN mkdir -p /etc/lab/dmi && echo {DMI} | tee /etc/lab/dmi/system-uuid > /etc/lab/dmi/system-serial-number \
 && sed -i "{PATCH}" /usr/lib/python3/dist-packages/cloudinit/dmi.py \
 && grep -q /etc/lab/dmi /usr/lib/python3/dist-packages/cloudinit/dmi.py \
 && python3 -m compileall -q /usr/lib/python3/dist-packages/cloudinit
STOPSIGNAL SIGRTMIN+3
ENV container=docker
CMD ["/bin/sh", "/etc/lab/boot"]
"""
FILES = {
    "etc/cloud/ds-identify.cfg": "policy: enabled\n",
    "etc/cloud/cloud.cfg.d/90_lab.cfg": """\
datasource_list: [ Ec2, None ]
datasource:
  Ec2:
    strict_id: false
    timeout: 5
    max_wait: 30
    metadata_urls: ["http://169.254.169.254"]
    apply_full_imds_network_config: false
network: {config: disabled}
locale: false
manage_etc_hosts: false
apt_preserve_sources_list: true
ssh_genkeytypes: [ed25519, ecdsa]
output: {all: '| tee -a /var/log/cloud-init-output.log /dev/console > /dev/null'}
""",
    # Where there is one hierarchy of control groups, the engine gives it to a container read-only; systemd needs more.
    "etc/lab/boot": """\
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || mount -o remount,rw /sys/fs/cgroup
exec /sbin/init
""",
    "etc/ssh/sshd_config.d/lab.conf": "PasswordAuthentication no\nUseDNS no\n",
}


def ensure() -> str:
    """The image's name, after it was made where that was needed: a minute or two."""
    base = base_image.ensure()
    recipe = hashlib.sha256(Path(__file__).read_bytes() + base.encode()).hexdigest()[:12]
    name = f"{REPOSITORY}:{recipe}"
    with held("host-image"):
        if not base_image.exists(name):
            _build(base, name)
    return name


def _build(base: str, name: str) -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        contents = {"Dockerfile": DOCKERFILE.format(base=base)}
        contents |= {f"files/{path}": text for path, text in FILES.items()}
        for path, text in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    # The old builder: the new one is a plug-in that the distribution's package lacks.
    argv = ["env", "DOCKER_BUILDKIT=0", "docker", "build", "-q", "--force-rm", "--network", "bridge", "-t", name, "-"]
    done = subprocess.run(argv, input=context.getvalue(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker build of {name}: {(done.stdout + done.stderr).decode(errors='replace')[-3000:]}")


if __name__ == "__main__":
    print(ensure())
