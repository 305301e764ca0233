# shellcheck shell=bash
# How `dev` speaks, runs a command with its log kept, becomes root, and remembers what is done already.
#
# Functions that are handed to `work` or `logged` are chained with `&&`: the shell does not heed `set -e` inside them.

# Everything that `dev` itself makes and may be thrown away.
DEV=$PWD/target/dev
LOG_TAIL_LINES=40
# What an administrator runs is not on everybody's path.
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$DEV/log" "$DEV/stamp"

BOLD='' RED='' PLAIN=''
[[ ! -t 2 ]] || BOLD=$'\e[1m' RED=$'\e[1;31m' PLAIN=$'\e[0m'

say() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*" >&2; }

die() {
    printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
    exit 1
}

# log_of NAME: where the output of that work is kept.
log_of() { echo "$DEV/log/$(tr -cs 'a-zA-Z0-9.\n' '-' <<<"$1").log"; }

# logged NAME COMMAND…: runs it with its output in a log; shows the log's end if it fails.
logged() {
    local name=$1 log status=0
    log=$(log_of "$name")
    shift
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status != 0)); then
        tail -n "$LOG_TAIL_LINES" "$log" >&2
        say "$name: failed (exit $status); the whole log: $log"
    fi
    return "$status"
}

# work NAME COMMAND…: the same, announced and timed; ends `dev` if it fails.
work() {
    local started=$SECONDS
    say "$1"
    logged "$@" || exit 1
    ((SECONDS - started < 2)) || printf '    %d s\n' $((SECONDS - started)) >&2
}

is_root() { [[ $(id -u) == 0 ]]; }

# Whether root can be had: at a terminal sudo may ask for a password.
can_be_root() { is_root || { has sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; }

as_root() {
    if is_root; then "$@"; else sudo "$@"; fi
}

has() { command -v "$1" >/dev/null; }

has_display() { [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} || $(uname -s) == Darwin ]]; }

# digest PATH…: one hash over the names and contents of all files there; build products are left out.
digest() {
    find "$@" \( -name node_modules -o -name target \) -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# A stamp holds the digest of what something was last made from.
is_stamped() { [[ -f $DEV/stamp/$1 && $(<"$DEV/stamp/$1") == "$2" ]]; }
stamp() { printf '%s' "$2" >"$DEV/stamp/$1"; }
