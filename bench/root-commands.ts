// Commands of a guest that works in a Debian root on its first disk.

/** Around commands that run in the root by `chroot /mnt`: it is there while they run, and whole on the disk afterwards. */
export const withRoot = (commands: readonly string[]): string[] => [
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the guest's shell fills it in
  'mount -t ext4 -o noatime ${disk}a /mnt',
  'for what in proc sys dev; do mount --bind /$what /mnt/$what; done',
  ...commands,
  'umount /mnt/proc /mnt/sys /mnt/dev /mnt',
];
