#!/bin/sh
# A plugin that hides something of its own in the result.
[ "${CNI_COMMAND-}" = ADD ] || exec "${0%/*}/plugin"
result=$("${0%/*}/plugin")
status=$?
[ $status != 0 ] || result=$(printf %s "$result" | sed 's/^{/{"state":{"slot":7},/')
printf '%s\n' "$result"
exit $status
