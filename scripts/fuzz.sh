# shellcheck shell=bash
# `./dev fuzz` and the part `fuzz` of `./dev test`: hostile bytes against everything that reads them (fuzz/).

# What was tried and is worth trying again, and what was found; either may be thrown away.
FUZZ=$PWD/target/fuzz
FUZZ_PROGRAM=$PWD/target/debug/examples/fuzz
# How long each target runs in `./dev test`, and how many at a time, in seconds and processes. Longer beside tests that come first.
FUZZ_SECONDS=60
# shellcheck disable=SC2034 # suite.sh reads it
FUZZ_SECONDS_BESIDE=90
FUZZ_AT_ONCE=2
# Of the run in the background, once one has begun.
FUZZ_PID=''
# One input may take this long, and all of a target's memory may grow to this, in seconds and MiB.
FUZZ_INPUT_SECONDS_MAX=20
FUZZ_MEMORY_MIB_MAX=1024
FUZZ_INPUT_BYTES_MAX=4096

build_fuzz() { cargo_fuzz build; }

# With the counters: cargo keeps what is built so apart from all else in target/.
cargo_fuzz() {
    local verb=$1
    shift
    RUSTC_WRAPPER=$PWD/fuzz/instrumented cargo "$verb" --config fuzz/instrumented.toml --example fuzz "$@"
}

# What libFuzzer misses of a sanitizer it says each time, and needs none of it here.
fuzz_targets() { "$FUZZ_PROGRAM" 2>/dev/null; }

# fuzz_one SECONDS TARGET: exit status 0 where nothing was found; what it says is in the target's log.
fuzz_one() {
    local seconds=$1 target=$2 corpus=$FUZZ/corpus/$2 crashes=$FUZZ/crashes/$2 log
    log=$(log_of "fuzz-$target")
    mkdir -p "$corpus" "$crashes"
    BERTH_FUZZ_TARGET=$target BERTH_FUZZ_SEEDS=$corpus "$FUZZ_PROGRAM" >"$log" 2>&1 || return 1
    BERTH_FUZZ_TARGET=$target "$FUZZ_PROGRAM" -max_total_time="$seconds" -timeout="$FUZZ_INPUT_SECONDS_MAX" \
        -rss_limit_mb="$FUZZ_MEMORY_MIB_MAX" -max_len="$FUZZ_INPUT_BYTES_MAX" -artifact_prefix="$crashes/" \
        -print_final_stats=1 "$corpus" >"$log" 2>&1 </dev/null
}

# What a target did, in a line: libFuzzer calls branches `cov`, and branches with how often they were taken `ft`.
fuzz_summary() {
    local log runs rate reached
    log=$(log_of "fuzz-$1")
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    reached=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 branches, \2 features/p' "$log" | tail -n 1)
    printf '%-14s %9s runs, %6s a second, %s\n' "$1" "${runs:-?}" "${rate:-?}" "${reached:-nothing reached}"
}

# fuzz_all SECONDS TARGET…: FUZZ_AT_ONCE at a time; the names of those that found something, a line each.
fuzz_all() {
    local seconds=$1 target pids=() names=() at
    shift
    while (($# > 0)); do
        pids=() names=()
        for target in "${@:1:FUZZ_AT_ONCE}"; do
            fuzz_one "$seconds" "$target" &
            pids+=($!) names+=("$target")
        done
        shift "${#names[@]}"
        for at in "${!pids[@]}"; do
            if wait "${pids[at]}"; then fuzz_summary "${names[at]}" >&2; else echo "${names[at]}"; fi
        done
    done
}

# fuzz_tell TARGET: what it found, and how to see it again.
fuzz_tell() {
    local log input
    log=$(log_of "fuzz-$1")
    grep -vE '^(#|INFO|WARNING|stat::|[[:space:]]+NEW_FUNC)' "$log" | head -n 60 >&2
    input=$(sed -n "s/.*Test unit written to //p" "$log" | tail -n 1)
    say "fuzzing $1 found something; the whole log: $log"
    [[ -z $input ]] || { say "the input: $input; again: ./dev fuzz replay $1 $input" && base64 "$input" >&2; }
}

# fuzz replay TARGET FILE, or fuzz [SECONDS] [TARGET…].
fuzz() {
    local seconds=$FUZZ_SECONDS targets found target
    if [[ ${1:-} == replay ]]; then
        [[ $# == 3 ]] || die "./dev fuzz replay TARGET FILE"
        work "Building the fuzzer" build_fuzz
        BERTH_FUZZ_TARGET=$2 exec "$FUZZ_PROGRAM" -timeout="$FUZZ_INPUT_SECONDS_MAX" "$3"
    fi
    [[ ! ${1:-} =~ ^[0-9]+$ ]] || { seconds=$1 && shift; }
    work "Building the fuzzer" build_fuzz
    mapfile -t targets < <(fuzz_targets)
    for target in "$@"; do
        [[ " ${targets[*]} " == *" $target "* ]] || die "there is no target \`$target\`; there are: ${targets[*]}"
    done
    (($# == 0)) || targets=("$@")
    say "Fuzzing ${#targets[@]} targets, $seconds s each, $FUZZ_AT_ONCE at a time"
    mapfile -t found < <(fuzz_all "$seconds" "${targets[@]}")
    for target in "${found[@]}"; do fuzz_tell "$target"; done
    printf '%d targets, %d found something\n' "${#targets[@]}" "${#found[@]}"
    ((${#found[@]} == 0))
}

# fuzz_begin SECONDS NICENESS: in the background; part_fuzz says what came of it.
fuzz_begin() {
    local targets
    logged "building the fuzzer" build_fuzz || return
    mapfile -t targets < <(fuzz_targets)
    {
        renice -n "$2" "$BASHPID" >/dev/null
        fuzz_all "$1" "${targets[@]}" >"$DEV/fuzz-found" 2>"$DEV/fuzz-said"
    } </dev/null &
    FUZZ_PID=$!
}

part_fuzz() {
    local targets found target
    if [[ -z $FUZZ_PID ]] && ! fuzz_begin "$FUZZ_SECONDS" 0; then
        failed "building the fuzzer"
        return
    fi
    wait "$FUZZ_PID" || failed "fuzzing (it ended early)"
    FUZZ_PID=''
    cat "$DEV/fuzz-said" >&2
    mapfile -t targets < <(fuzz_targets)
    mapfile -t found <"$DEV/fuzz-found"
    for target in "${found[@]}"; do
        fuzz_tell "$target"
        failed "fuzz $target"
    done
    count $((${#targets[@]} - ${#found[@]})) 0
}
