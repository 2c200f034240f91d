#!/usr/bin/env bash
# Runs a program on a processor with AVX-512 VNNI that Bochs emulates (an Ice Lake), some hundred times slower than a real one:
#
#     tests/sanitizers/bochs.sh PROGRAM [ARGUMENT...]
#
# A disk with Linux and the program is made in a scratch folder and started; what the program prints comes out here, and its exit
# status is that of this script. It runs in the folder of the same name as the current one, with the files and folders of
# BOCHS_FILES at their places, BOCHS_MEMORY MiB (512) and BOCHS_SECONDS (1800) of our time. Needs Debian's packages bochs, bochsbios,
# vgabios, isolinux, syslinux-common, xorriso, cpio and busybox-static. The kernel (KERNEL=…) is by default that of Debian's cloud
# images, downloaded and not installed.
#
# A gather by indices in one of the registers 16 to 31 is no instruction to Bochs, 2.7 or that of today, although it is one.
set -euo pipefail
program=$(realpath "$1")
shift

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root disk=$scratch/disk
mkdir -p "$root"/{bin,proc,sys,tmp} "$disk/isolinux"

if [ -z "${KERNEL:-}" ]; then
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
  if ! (cd "$scratch" && apt-get download "$package" >apt.txt 2>&1); then
    printf 'error: %s: no kernel to start\n\nhint: name one, KERNEL=/boot/vmlinuz-…\n' "$(tail -n 1 "$scratch/apt.txt")" >&2
    exit 1
  fi
  dpkg-deb --fsys-tarfile "$scratch"/*.deb | tar x -C "$scratch" --wildcards './boot/vmlinuz*'
  KERNEL=$(echo "$scratch"/boot/vmlinuz*)
fi

# The program with the libraries that it is linked to, and a first process that runs it and switches off.
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$program" "$root/program"
mkdir -p "$root$PWD"
for path in ${BOCHS_FILES:-}; do
  cp --parents --recursive "$(realpath "$path")" "$root"
done
ldd "$program" | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} "$root" || true
cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
export HOME=/tmp
cd '$PWD'
echo "== start"
/program $(printf '%q ' "$@") 2>&1
status=\$?
[ \$status -lt 128 ] || dmesg | tail -n 3 # why a signal ended it
printf '\n== status %d\n' \$status
sleep 1 # until the serial line has all of it
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio --create --format newc --quiet | gzip -1) >"$disk/initrd.gz"

# Linux does not use what Bochs 2.7 says its processor has and does not have as Linux expects: fast strings, and the sizes of some states.
cp "$KERNEL" "$disk/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$disk/isolinux"
cat >"$disk/isolinux/isolinux.cfg" <<'END'
default linux
label linux
 kernel /vmlinuz
 append initrd=/initrd.gz console=ttyS0,115200 loglevel=0 clearcpuid=fsrm,pku,xsaves,xsavec mitigations=off tsc=reliable lpj=1000000 panic=-1
END
xorriso -as mkisofs -quiet -o "$scratch/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$disk" 2>/dev/null

cat >"$scratch/bochsrc" <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=0
cpu: model=corei7_icelake_u, count=1, ips=50000000, ignore_bad_msrs=1
memory: guest=${BOCHS_MEMORY:-512}, host=${BOCHS_MEMORY:-512}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$scratch/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$scratch/serial.txt
clock: sync=none
log: $scratch/bochs.log
panic: action=fatal
END
# Debian's Bochs has a debugger and waits for its commands.
echo continue >"$scratch/commands"
timeout "${BOCHS_SECONDS:-1800}" bochs -q -f "$scratch/bochsrc" -rc "$scratch/commands" >"$scratch/bochs.txt" 2>&1 || true

cat "$scratch/serial.txt" 2>/dev/null | tr -d '\r' >"$scratch/output.txt" || true
awk '/^== status /{exit} lines{print last} inside{last = $0; lines++} /^== start$/{inside = 1} END{if (last != "") print last}' "$scratch/output.txt"
status=$(sed -n 's/^== status //p' "$scratch/output.txt")
if [ -z "$status" ]; then
  printf 'error: the emulated machine did not come to an end; its last lines:\n' >&2
  tail -n 20 "$scratch/output.txt" "$scratch/bochs.txt" >&2
  exit 1
fi
exit "$status"
