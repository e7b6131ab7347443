#!/bin/sh
# The first process of a node: it arranges the mounts, then holds the node's namespaces.
#
#   unshare --mount --pid --fork --net --uts --ipc node.sh STATE NAME PAUSE FOLDER...
#
# STATE is the folder of the node, NAME its host name, PAUSE a program that reaps orphans until it is told to end. Each
# FOLDER, which the node's parts insist on, becomes a private one. Killing this process takes all of it along.
set -eu
state=$1 name=$2 pause=$3
shift 3

# The kubelet wants its mounts shared with its pods; the machine must not see any of them.
mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
hostname "$name"

# In memory: an overlay of images can't lie on another overlay, which the machine's own disk may be.
for volume in files etcd; do
  mkdir -p "$state/$volume"
  mount -t tmpfs -o mode=755 tmpfs "$state/$volume"
done
for folder; do
  mkdir -p "$state/files$folder"
  mount --bind "$state/files$folder" "$folder"
done

touch "$state/mounted"
exec "$pause"
