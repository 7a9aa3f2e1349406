#!/bin/sh
# A plugin that complains when there is nothing left to delete.
[ "${CNI_COMMAND-}" = DEL ] || exec "${0%/*}/plugin"
stdin=$(cat)
printf %s "$stdin" | "${0%/*}/plugin" || exit 1
network=$(printf %s "$stdin" | sed -n 's/.*"name":"\([^"]*\)","type".*/\1/p')
mkdir -p "${0%/*}/deleted"
mark=${0%/*}/deleted/$network@$CNI_CONTAINERID@$CNI_IFNAME
if [ -e "$mark" ]; then
  echo '{"cniVersion":"1.1.0","code":3,"msg":"unknown container"}'
  exit 1
fi
: >"$mark"
