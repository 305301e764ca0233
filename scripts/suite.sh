# shellcheck shell=bash
# `./dev test` and `./dev check`: the parts of the suite, and how their tests are counted.
#
# A test binary that ends without its result line (it crashed, or ran too long) counts as one failed test, and so does a part
# that runs none. Work that is no test (a build) counts only where it fails.

# In this order. `part_NAME` runs one.
PARTS=(setup build check unit interface scripts images engine crash browser window fuzz)

# The images that the suite builds where BERTH_TEST_IMAGES does not say: all but those that no registry has.
TEST_IMAGES='base script browser claude-code gemini-cli opencode aider copilot codex qwen-code'

# No cargo call of a part may take longer, in seconds.
PART_SECONDS_MAX=2400

# No witness takes longer to begin, in seconds.
WITNESS_SECONDS_MAX=30

PASSED=0 FAILED=0 FAILED_NAMES=()
# The parts of this run.
WANTED=()
# What was not tried, for the end.
LEFT_OUT=()

count() {
    PASSED=$((PASSED + $1)) FAILED=$((FAILED + $2))
}

# checked NAME COMMAND…: one test, which is the command's exit status.
checked() {
    if logged "$@"; then count 1 0; else failed "$1"; fi
}

failed() {
    count 0 "${2:-1}"
    FAILED_NAMES+=("$1")
}

# The test binaries of crates/*/tests and tests/tests, as `--test NAME` arguments, by whom they need.
targets() {
    local path name kind
    for path in crates/*/tests/*.rs crates/*/tests/*/main.rs tests/tests/*.rs tests/tests/*/main.rs; do
        [[ -f $path ]] || continue
        name=${path%/main.rs} name=$(basename "${name%.rs}")
        case $name in
            browser*) kind=browser ;;
            window*) kind=window ;;
            house) kind=check ;;
            scripted) kind=unit ;;
            crash* | engine_away) kind=crash ;;
            *) kind=engine ;;
        esac
        [[ $kind == "$1" ]] && printf -- '--test\n%s\n' "$name"
    done
    return 0
}

# cargo_tests NAME ARGS…: `cargo test ARGS`, counted by the result lines of its binaries.
cargo_tests() {
    local name=$1 log status=0 passed broken silent
    shift
    log=$(log_of "$name")
    # The selection of packages is always the same, so that every call shares one build.
    timeout --kill-after=10 "$PART_SECONDS_MAX" cargo test --no-fail-fast "$@" >"$log" 2>&1 </dev/null || status=$?
    passed=$(awk '/^test result: / { n += $4 } END { print n + 0 }' "$log")
    broken=$(awk '/^test result: / { n += $6 } END { print n + 0 }' "$log")
    # Binaries that began and left no result. (Documentation tests may leave two.)
    silent=$(awk '/^ +(Running|Doc-tests) / { n++ } /^test result: / { n-- } END { print (n > 0 ? n : 0) }' "$log")
    broken=$((broken + silent))
    ((status == 0 || broken > 0)) || broken=1
    count "$passed" 0
    if ((broken > 0)); then
        failed "$name" "$broken"
        grep -vE '^test .* \.\.\. ok$|^ +Compiling |^$' "$log" | tail -n 200 >&2
        say "$name: $broken failed (exit $status); the whole log: $log"
    fi
}

python_tests() {
    local name=$1 log status=0 ran broken
    log=$(log_of "$name")
    "$PYTHON" -B -m unittest discover -v -s "$2" -p '*_test.py' >"$log" 2>&1 </dev/null || status=$?
    ran=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} in .*/\1/p' "$log")
    broken=$(grep -cE '^(FAIL|ERROR): ' "$log" || true)
    ((status == 0 || broken > 0)) || broken=1
    count $((${ran:-0} > broken ? ${ran:-0} - broken : 0)) 0
    if ((broken > 0)); then
        failed "$name" "$broken"
        tail -n "$LOG_TAIL_LINES" "$log" >&2
    fi
}

part_setup() { (setup_for build engine test) || failed setup; }

part_build() { (build_all dev) || failed build; }

# From here on clippy's driver compiles what is ours, and lints it as it does. By itself clippy would read every crate that ours are made
# of once more, which takes longer than all its lints (docs/decisions/0008-lints-while-compiling.md).
lint_along() { export RUSTC_WORKSPACE_WRAPPER=clippy-driver; }

# lints CARGO ARGS…: fails where clippy has anything to say. What it said while it compiled cargo keeps, and says again each time.
lints() {
    local cargo=$1 said status=0
    shift
    if [[ -z ${RUSTC_WORKSPACE_WRAPPER:-} ]]; then
        "$cargo" clippy --quiet "$@" -- -D warnings
        return
    fi
    said=$("$cargo" build --quiet "$@" 2>&1) || status=$?
    printf '%s\n' "$said"
    [[ $status == 0 && -z $said ]]
}

check() {
    local wasm=(--target wasm32-unknown-unknown)
    checked "rustfmt" cargo fmt --all --check
    checked "clippy" lints cargo --all-targets
    checked "wasm check, with clippy" lints cargo -p wire -p ui "${wasm[@]}"
    checked "clippy of the fuzzer" lints cargo_fuzz
    if has shellcheck; then checked "shellcheck" shellcheck -x dev scripts/*.sh .ci/run; fi
    mapfile -t house < <(targets check)
    cargo_tests "house" "${house[@]}"
}
part_check() { check; }

part_unit() {
    local scripted
    mapfile -t scripted < <(targets unit)
    cargo_tests "unit tests" --lib --bins
    # They wait more than they work.
    RUST_TEST_THREADS=$((2 * $(nproc))) cargo_tests "scripted engine tests" "${scripted[@]}"
    cargo_tests "documentation tests" --doc
}

# The interface's reducers and views, natively: outside the default members, but with the whole workspace's features, so that it shares
# what the others are made of.
part_interface() { cargo_tests "interface tests" --workspace --bin ui; }

part_scripts() {
    local folder tests
    for folder in agent-images/*/; do
        tests=("$folder"*_test.py)
        [[ ! -e ${tests[0]} ]] || python_tests "image $(basename "$folder")" "$folder"
    done
    python_tests "counting" scripts
}

# images_of_test [all|NAMES]: the names of the images to build.
images_of_test() {
    if [[ $1 == all ]]; then
        (cd agent-images && for manifest in */image.toml; do echo "${manifest%/*}"; done)
    else
        tr -s ' ' '\n' <<<"$1"
    fi
}

# locked NAME: the reference of an image that this run built.
locked() { awk -v section="[$1]" '/^\[/ { is_there = $0 == section } is_there && $1 == "reference" { gsub(/"/, "", $3); print $3 }' "$DEV/image.lock"; }

# Agents' images as a person has them built: through Berth, which tries each of them. Tests of the parts behind this one find them on the
# engine, and build what is not there; the data folder stays, so that what has not changed is not built again.
part_images() {
    local name wanted reference
    mapfile -t wanted < <(images_of_test "${BERTH_TEST_IMAGES:-$TEST_IMAGES}")
    for name in $(images_of_test all); do
        [[ " ${wanted[*]} " == *" $name "* ]] || LEFT_OUT+=("$name")
    done
    logged "Building the command line" cargo build --bins || { failed images; return; }
    rm -f "$DEV/image.lock"
    for name in "${wanted[@]}"; do
        BERTH_HOME=$DEV/images checked "image $name" "$PYTHON" -B scripts/images.py build --berth target/debug/berth --lock "$DEV/image.lock" "$name"
    done
    reference=$(locked browser)
    if [[ -n $reference ]]; then
        checked "seccomp profile of the browser" "$PYTHON" -B scripts/seccomp_try.py "$reference"
        checked "desktop by VNC" "$PYTHON" -B scripts/vnc_try.py "$reference"
    fi
}

part_engine() { witnessed engine; }
# The app killed, the engine gone: the slowest of the real parts, so with a bound of its own. A third of its time the processors rest:
# where the fuzzer is wanted as well, it gets that.
part_crash() {
    [[ " ${WANTED[*]} " != *' fuzz '* ]] || fuzz_begin "$FUZZ_SECONDS_BESIDE" 19 || true
    witnessed crash
}
part_browser() { witnessed browser; }
part_window() { witnessed window; }

tests_of() {
    local names at_once
    at_once=$(nproc)
    # They wait for the engine more than they work; a browser or a window works.
    [[ $1 != engine && $1 != crash ]] || at_once=$((at_once + 1))
    mapfile -t names < <(targets "$1")
    ((${#names[@]} == 0)) || RUST_TEST_THREADS=$at_once cargo_tests "$1 tests" "${names[@]}"
}

# The socket of the engine that the tests find; nothing where it is somewhere else.
engine_socket() {
    local address=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null)}
    [[ $address != unix://* ]] || echo "${address#unix://}"
}

# witnessed PART: its tests, with a witness before their engine that compares every container they make with DESIGN §7. What it
# has to say is one more test. BERTH_ENGINE_IS_SHARED=1 where others use the engine at the same time.
witnessed() {
    local name="witness of the $1 tests" socket folder log pid status=0 deadline=$((SECONDS + WITNESS_SECONDS_MAX))
    log=$(log_of "$name") socket=$(engine_socket)
    if [[ -z $socket ]] || ! logged "Building the witness" cargo build --example berth-witness; then
        failed "$name (it needs the engine's socket)"
        tests_of "$1"
        return
    fi
    folder=$(mktemp -d /tmp/berth-witness.XXXXXX)
    target/debug/examples/berth-witness "$folder/docker.sock" "$socket" "$folder/sightings" >"$log" 2>&1 </dev/null &
    pid=$!
    until grep -q '^ready$' "$log"; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
            failed "$name (it does not begin: $(tail -n 1 "$log"))"
            kill "$pid" 2>/dev/null || true
            tests_of "$1"
            return
        fi
        sleep 0.1
    done
    DOCKER_HOST=unix://$folder/docker.sock BERTH_SIGHTINGS=$folder/sightings tests_of "$1"
    kill "$pid"
    wait "$pid" || status=$?
    sed '/^ready$/d' "$log"
    if ((status == 0)); then count 1 0; else failed "$name"; fi
    rm -rf "$folder"
}

# suite [PART…]: the setup, then all parts or those named; the last line counts.
suite() {
    local parts=("$@") part before began table='' began_all=$SECONDS
    ((${#parts[@]} > 0)) || parts=("${PARTS[@]}")
    WANTED=("${parts[@]}")
    for part in "${parts[@]}"; do
        declare -F "part_$part" >/dev/null || die "there is no part \`$part\`; there are: ${PARTS[*]}"
    done
    BERTH_GUEST=$PWD/target/$(guest_target)/guest/berth-guest
    export BERTH_GUEST PATH=$DEV/tools/bin:$PATH:$RUST_BIN
    # A check alone is quickest where nothing is compiled.
    [[ ${parts[*]} == check ]] || lint_along
    # From nothing: what a second build would gain by costs more than it is worth to one that may be the only one.
    [[ -d target/debug/incremental ]] || export CARGO_INCREMENTAL=0
    printf -v table '%-10s %8s %8s %8s\n' part seconds passed failed
    for part in "${parts[@]}"; do
        say "Part $part"
        before=("$PASSED" "$FAILED") began=$SECONDS
        "part_$part"
        if ((PASSED + FAILED == before[0] + before[1])) && [[ $part != setup && $part != build ]]; then
            failed "$part (it ran no test)"
        fi
        printf -v table '%s%-10s %8d %8d %8d\n' "$table" "$part" $((SECONDS - began)) $((PASSED - before[0])) $((FAILED - before[1]))
        # Without what they need the other parts would say nothing true.
        [[ $part != setup && $part != build ]] || ((FAILED == 0)) || break
    done
    printf '\n%s%-10s %8d\n' "$table" together $((SECONDS - began_all))
    ((${#LEFT_OUT[@]} == 0)) || printf 'images that were not built: %s (BERTH_TEST_IMAGES=all builds them)\n' "${LEFT_OUT[*]}"
    ((FAILED == 0)) || printf 'failed: %s\n' "${FAILED_NAMES[@]}"
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    ((FAILED == 0 && PASSED > 0))
}
