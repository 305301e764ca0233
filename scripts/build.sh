# shellcheck shell=bash
# The three things that are built: the guest, the interface, the programs. Cargo knows by itself what is fresh.

# build_all PROFILE ARGS…: everything that the app needs; PROFILE is the interface's (dev or release), ARGS are cargo's for the programs.
build_all() {
    local profile=$1
    shift
    build_guest
    build_ui "$profile"
    work "Building the app and the command line" cargo build --bins "$@"
}

build_guest() {
    local target
    target=$(guest_target)
    # Elsewhere than on Linux the system's linker makes no Linux program; the one that comes with Rust does.
    [[ $(uname -s) == Linux ]] || export "CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_LINKER=rust-lld"
    # By rustc alone: it goes into every sandbox, and clippy's driver leaves out some of what makes a program small.
    work "Building the guest" env -u RUSTC_WORKSPACE_WRAPPER cargo build -p guest --profile guest --target "$target"
    export BERTH_GUEST=$PWD/target/$target/guest/berth-guest
    # Beside the programs and by the name that they look for, so that one that is called by itself finds it, too.
    put_beside "$BERTH_GUEST" "target/debug/berth-guest-${target%%-*}"
}

# put_beside FILE COPY: makes the copy the same as the file, at once for whoever reads it; nothing where it is.
put_beside() {
    [[ ! -f $2 || $(sha256sum <"$1") != $(sha256sum <"$2") ]] || return 0
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

# build_ui PROFILE: ui/dist, in plain steps (docs/decisions/0001-no-trunk.md).
build_ui() {
    local profile=$1 folder=debug wasm made_from part parts
    [[ $profile == dev ]] || folder=$profile
    bundle_scripts
    work "Building the interface ($profile)" cargo build -p ui --target wasm32-unknown-unknown --profile "$profile"
    wasm=target/wasm32-unknown-unknown/$folder/ui.wasm
    parts=(ui/index.html)
    for part in ui/*.js ui/*.svg ui/generated ui/styles ui/fonts ui/icons; do
        [[ ! -e $part ]] || parts+=("$part")
    done
    made_from=$(digest "$wasm" "${parts[@]}")
    if [[ ! -f ui/dist/ui.js ]] || ! is_stamped ui-dist "$made_from"; then
        work "Assembling ui/dist" assemble_ui "$wasm" "${parts[@]}"
        stamp ui-dist "$made_from"
    fi
}

# Third-party scripts (xterm.js and its addons), bundled as ui/js/package.json says.
bundle_scripts() {
    local made_from
    made_from=$(digest ui/js)
    [[ -d ui/generated ]] && is_stamped ui-scripts "$made_from" && return
    work "Fetching the interface's scripts" npm --prefix ui/js ci --no-audit --no-fund
    work "Bundling the interface's scripts" npm --prefix ui/js run build
    stamp ui-scripts "$made_from"
}

# assemble_ui WASM PATH…: the program with its glue, and the paths, side by side.
assemble_ui() {
    local fresh=$DEV/dist wasm=$1
    shift
    rm -rf "$fresh" &&
        wasm-bindgen --target web --no-typescript --out-name ui --out-dir "$fresh" "$wasm" &&
        cp -r "$@" "$fresh/" &&
        rm -rf ui/dist &&
        mv "$fresh" ui/dist
}
