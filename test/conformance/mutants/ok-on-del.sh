#!/bin/sh
# A plugin that says OK when a DEL has succeeded.
"${0%/*}/plugin" || exit 1
[ "${CNI_COMMAND-}" != DEL ] || echo OK
