#!/bin/sh
# The first process of the guest: a copy-on-write view of the outer machine's root, the job in it, power off.
# From the kernel's command line: uml_io, a directory that host and guest share under one path, which has `job` and gets
# `stdout`, `stderr`, `status`; uml_files, MiB of memory for files that the job writes elsewhere.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# Where PID 1 ended, the kernel would panic.
die() {
  echo "guest: $1"
  busybox poweroff -f
}

mount -t proc proc /proc || die "no proc"
# The kernel that build-kernel.sh makes may have the release of the packaged one, whose modules it cannot load: it has everything.
modules=/usr/lib/uml/modules/$(uname -r)
[ -e /proc/modules ] || modules=/nowhere
[ ! -d "$modules" ] || insmod "$modules/kernel/fs/overlayfs/overlay.ko" || die "no module overlay in $modules"
mount -t tmpfs -o "size=${uml_files}m" tmpfs /mnt || die "no tmpfs on /mnt"
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root || die "no overlay over /"
cd /mnt/root || die "no new root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm lib/modules
mount -t devpts devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/lock
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup && mkdir sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
mount -t hostfs -o "$uml_io" io "./$uml_io" || die "cannot share $uml_io"
[ ! -d "$modules" ] || ln -sfn "$modules" "lib/modules/$(uname -r)"
# Not chroot: the kernel starts modprobe in the root of the first mount namespace.
pivot_root . mnt || die "pivot_root failed"
cd / && umount -l /mnt
[ ! -d "$modules" ] || modprobe -a ipv6 || echo "guest: no module ipv6"
# What the job writes to shared files is to be seen from outside while it runs: after 0.2 s, not after 30.
echo 20 >/proc/sys/vm/dirty_writeback_centisecs
echo 20 >/proc/sys/vm/dirty_expire_centisecs
ip link set lo up
hostname uml
echo "guest: job"
"$uml_io/job" >"$uml_io/stdout" 2>"$uml_io/stderr" </dev/null
echo $? >"$uml_io/status"
busybox poweroff -f
