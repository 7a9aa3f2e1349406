#!/bin/sh
# A plugin whose GC takes away whatever was added, listed or not.
own=${0%/*}
mkdir -p "$own/added"
case ${CNI_COMMAND-} in
ADD)
  stdin=$(cat)
  printf %s "$stdin" | "$own/plugin" || exit 1
  mark=$own/added/$CNI_CONTAINERID
  printf %s "$stdin" >"$mark.conf"
  printf '%s\n%s\n%s\n' "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" >"$mark.env"
  ;;
GC)
  "$own/plugin" || exit 1
  for mark in "$own"/added/*.env; do
    [ -e "$mark" ] || continue
    { read -r container && read -r netns && read -r name; } <"$mark"
    CNI_COMMAND=DEL CNI_CONTAINERID=$container CNI_NETNS=$netns CNI_IFNAME=$name "$own/plugin" \
      <"${mark%.env}.conf" >/dev/null 2>&1
    rm -f "$mark" "${mark%.env}.conf"
  done
  ;;
*) exec "$own/plugin" ;;
esac
