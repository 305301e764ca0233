# shellcheck shell=bash
# What is needed from the system, by purpose: how to see that it is there, and what it is called where.
#
# On Debian what is missing is installed, Rust too; elsewhere, or without root, the exact command is printed.

# purpose | how to see it | Debian | Fedora | Arch | macOS (brew); `-` where the system has it or has no use for it
NEEDS='
rust   | cmd:curl                       | curl                           | curl                               | curl                    | -
build  | cmd:timeout                    | coreutils                     | coreutils                          | coreutils               | coreutils
build  | cmd:sha256sum                  | coreutils                     | coreutils                          | coreutils               | coreutils
build  | file:/etc/ssl/certs            | ca-certificates               | ca-certificates                    | ca-certificates         | -
build  | cmd:cc                         | build-essential               | gcc                                | base-devel              | -
build  | cmd:c++                        | build-essential               | gcc-c++                            | base-devel              | -
build  | cmd:pkg-config                 | pkg-config                    | pkgconf-pkg-config                 | pkgconf                 | -
build  | pc:webkit2gtk-4.1              | libwebkit2gtk-4.1-dev         | webkit2gtk4.1-devel                | webkit2gtk-4.1          | -
build  | pc:ayatana-appindicator3-0.1   | libayatana-appindicator3-dev  | libayatana-appindicator-gtk3-devel | libayatana-appindicator | -
build  | cmd:node                       | nodejs                        | nodejs                             | nodejs                  | node
build  | cmd:npm                        | npm                           | nodejs-npm                         | npm                     | node
engine | cmd:docker                     | docker.io                     | moby-engine                        | docker                  | docker
engine | cmd:iptables                   | iptables                      | iptables-nft                       | iptables                | -
daemon | cmd:dockerd                    | docker.io                     | moby-engine                        | docker                  | -
test   | cmd:dockerd                    | docker.io                     | moby-engine                        | docker                  | -
test   | cmd:nsenter                    | util-linux                    | util-linux                         | util-linux              | -
test   | cmd:git                        | git                           | git                                | git                     | git
test   | cmd:openssl                    | openssl                       | openssl                            | openssl                 | -
test   | cmd:python3                    | python3                       | python3                            | python                  | python
test   | py:markdown_it                 | python3-markdown-it           | python3-markdown-it-py             | python-markdown-it-py   | -
test   | cmd:chromium                   | chromium                      | chromium                           | chromium                | -
test   | cmd:chromedriver               | chromium-driver               | chromedriver                       | chromium                | -
test   | file:/bin/busybox              | busybox-static                | busybox                            | busybox                 | -
test   | file:/bin/kill                 | procps                        | util-linux-core                    | util-linux              | -
test   | cmd:Xvfb                       | xvfb                          | xorg-x11-server-Xvfb               | xorg-server-xvfb        | -
test   | cmd:xdotool                    | xdotool                       | xdotool                            | xdotool                 | -
test   | cmd:openbox                    | openbox                       | openbox                            | openbox                 | -
test   | cmd:import                     | imagemagick                   | ImageMagick                        | imagemagick             | -
test   | cmd:gvnccapture                | gvncviewer                    | gvnc-tools                         | gtk-vnc                 | -
test   | cmd:WebKitWebDriver            | webkit2gtk-driver             | webkit2gtk-driver                  | webkit2gtk-4.1          | -
test   | cmd:dbus-daemon                | dbus                          | dbus-daemon                        | dbus                    | -
test   | cmd:gnome-keyring-daemon       | gnome-keyring                 | gnome-keyring                      | gnome-keyring           | -
test   | cmd:secret-tool                | libsecret-tools               | libsecret                          | libsecret               | -
test   | cmd:gdbus                      | libglib2.0-bin                | glib2                              | glib2                   | -
test   | gi:Gtk:3.0                     | python3-gi gir1.2-gtk-3.0     | python3-gobject gtk3               | python-gobject gtk3     | -
test   | file:/usr/share/fonts          | fonts-dejavu-core             | dejavu-sans-mono-fonts             | ttf-dejavu              | -
images | cmd:python3                    | python3                       | python3                            | python                  | python
images | py:pip                         | python3-pip                   | python3-pip                        | python-pip              | python
images | cmd:npm                        | npm                           | nodejs-npm                         | npm                     | node
base   | cmd:debootstrap                | debootstrap                   | debootstrap                        | debootstrap             | -
'

NODE_MAJOR_MIN=18
# Where rustup puts what it installs.
RUST_BIN=${CARGO_HOME:-$HOME/.cargo}/bin
# The system's own, whose modules are packages; another that comes first in PATH would not have them.
PYTHON=python3
[[ ! -x /usr/bin/python3 ]] || PYTHON=/usr/bin/python3

is_there() {
    local kind=${1%%:*} what=${1#*:}
    case $kind in
        cmd) has "$what" ;;
        pc) pkg-config --exists "$what" 2>/dev/null ;;
        py) "$PYTHON" -c "import $what" 2>/dev/null ;;
        gi) "$PYTHON" -c "import gi; gi.require_version('${what%%:*}', '${what#*:}')" 2>/dev/null ;;
        file) [[ -e $what ]] ;;
    esac
}

system() {
    [[ $(uname -s) == Darwin ]] && echo macos && return
    local id='' like=''
    id=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"')
    like=$(sed -n 's/^ID_LIKE=//p' /etc/os-release 2>/dev/null | tr -d '"')
    case " $id $like " in
        *' debian '*) echo debian ;;
        *' fedora '*) echo fedora ;;
        *' arch '*) echo arch ;;
        *) echo unknown ;;
    esac
}

# missing PURPOSE…: the packages, in this system's words, of what is not there.
missing() {
    local system purpose probe debian fedora arch macos name
    system=$(system)
    while IFS='|' read -r purpose probe debian fedora arch macos; do
        purpose=${purpose// /} probe=${probe// /}
        [[ -n $purpose && " $* " == *" $purpose "* ]] || continue
        case $system in
            fedora) name=$fedora ;;
            arch) name=$arch ;;
            macos) name=$macos ;;
            *) name=$debian ;;
        esac
        # shellcheck disable=SC2086 # several packages may stand there
        [[ ${name// /} == - ]] || is_there "$probe" || printf '%s\n' $name
    done <<<"$NEEDS" | LC_ALL=C sort -u | tr '\n' ' '
}

install_command() {
    case $1 in
        debian) echo "apt-get install -y --no-install-recommends" ;;
        fedora) echo "dnf install -y" ;;
        arch) echo "pacman -S --needed" ;;
        macos) echo "brew install" ;;
        unknown) echo "(by Debian's names) install" ;;
    esac
}

# need PURPOSE…: has it all, or installs it, or says what to do and ends.
need() {
    local names system
    names=$(missing "$@")
    [[ -n ${names// /} ]] || return 0
    system=$(system)
    if [[ $system == debian ]] && can_be_root; then
        say "Installing $names"
        # shellcheck disable=SC2086 # a list of packages
        work "Installing packages for $*" apt_install $names
        names=$(missing "$@")
        [[ -z ${names// /} ]] || die "installed, and yet not found: $names"
        return 0
    fi
    local sudo=''
    [[ $system == macos ]] || is_root || sudo='sudo '
    die "missing: $names
  install it, then call ./dev again:
    $sudo$(install_command "$system") $names"
}

apt_install() {
    as_root apt-get update || echo "some package list could not be fetched; going on with what there is"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

guest_target() {
    case $(uname -m) in
        x86_64) echo x86_64-unknown-linux-musl ;;
        aarch64 | arm64) echo aarch64-unknown-linux-musl ;;
        *) die "there is no guest for $(uname -m) yet: x86_64 and aarch64 are" ;;
    esac
}

# fetch URL FILE
fetch() { curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --retry 3 --output "$2" "$1"; }

# The installer of https://rustup.rs, run only if it is the very file that is published beside its hash.
fetch_rustup() {
    local folder=$1 url
    url=${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}/dist/$(uname -m)-unknown-linux-gnu/rustup-init
    mkdir -p "$folder" &&
        fetch "$url" "$folder/rustup-init" &&
        fetch "$url.sha256" "$folder/rustup-init.sha256" &&
        # The published file may name the program by another path: only the hash counts.
        printf '%s  rustup-init\n' "$(cut -c1-64 "$folder/rustup-init.sha256")" >"$folder/rustup-init.check" &&
        (cd "$folder" && sha256sum --check --strict rustup-init.check) &&
        chmod +x "$folder/rustup-init"
}

# install_rust VERSION: of that version, not the newest: a newer clippy may have lints that this code does not know yet, and would
# fail `./dev check` on a fresh machine for no fault of the code.
install_rust() {
    say "Rust is missing: installing Rust $1 with rustup, as https://rustup.rs does: into ${CARGO_HOME:-$HOME/.cargo}
    and ${RUSTUP_HOME:-$HOME/.rustup}, with a line in your shell's profile that puts it on the path"
    need rust
    work "Fetching rustup" fetch_rustup "$DEV/rustup"
    work "Installing Rust" "$DEV/rustup/rustup-init" -y --profile minimal --default-toolchain "$1" \
        --component rustfmt,clippy --target "wasm32-unknown-unknown,$(guest_target)"
}

need_rust() {
    local wanted found target libdir
    export PATH=$DEV/tools/bin:$PATH:$RUST_BIN
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! has cargo; then
        [[ $(system) == debian ]] || die "missing: Rust $wanted or newer. Get it from https://rustup.rs, then call ./dev again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default"
        install_rust "$wanted"
    fi
    found=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] ||
        die "Rust $found is too old: $wanted is needed. Update it, then call ./dev again:
    rustup update stable && rustup default stable"
    libdir=$(rustc --print sysroot)/lib/rustlib
    for target in wasm32-unknown-unknown "$(guest_target)"; do
        [[ -d $libdir/$target ]] && continue
        has rustup || die "missing: Rust's target $target, and no rustup to add it with.
  Install Rust from https://rustup.rs, or your system's package for that target (Fedora: rust-std-static-$target)."
        work "Adding Rust's target $target" rustup target add "$target"
    done
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        has rustup || die "missing: rustfmt and clippy. Install your system's packages of those names."
        work "Adding rustfmt and clippy" rustup component add rustfmt clippy
    fi
}

need_node() {
    local major
    major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    ((major >= NODE_MAJOR_MIN)) || die "Node $major is too old: $NODE_MAJOR_MIN or newer is needed (https://nodejs.org)"
}

# The tool must be of the very version that the crate is locked to.
need_wasm_bindgen() {
    local version
    version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' Cargo.lock)
    [[ -n $version ]] || die "Cargo.lock names no wasm-bindgen"
    [[ $(wasm-bindgen --version 2>/dev/null) == "wasm-bindgen $version" ]] && return
    # Not --locked: its own lock file asks for versions that a mirror may not have yet. Without TLS, which its runner of tests wants.
    work "Building wasm-bindgen $version" env CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --debug --no-default-features \
        --bin wasm-bindgen --root "$DEV/tools" "wasm-bindgen-cli@$version"
}

# A real agent for tests, of one version: its program for this machine, from the registry of npm. Nothing of it is run while it is
# fetched.
TEST_CLAUDE=2.1.329
need_claude() {
    local agents=$DEV/agents
    is_stamped test-claude "$TEST_CLAUDE" && return
    work "Fetching claude $TEST_CLAUDE for the tests" npm install --prefix "$agents" --ignore-scripts --no-audit --no-fund \
        --no-save "@anthropic-ai/claude-code@$TEST_CLAUDE"
    stamp test-claude "$TEST_CLAUDE"
}

# Programs that fetch things, in an image of their own for the test of them (docs/tools.md): Debian's, and a Node that knows of proxies
# with its npm, from the registry of npm.
TOOLS_IMAGE=berth-test/tools
TOOLS_NODE=24.20.0
TOOLS_NPM=11.9.0
need_tools_image() {
    local context=$DEV/tools-image made_from machine=x64
    [[ $(uname -m) == x86_64 ]] || machine=arm64
    made_from="$(digest tests/tests/tools/image) $machine $TOOLS_NODE $TOOLS_NPM"
    is_stamped test-tools "$made_from" && docker image inspect "$TOOLS_IMAGE" >/dev/null 2>&1 && return
    rm -rf "$context" && mkdir -p "$context"
    cp tests/tests/tools/image/* "$context"
    work "Fetching Node $TOOLS_NODE for the tests" npm install --prefix "$context" --ignore-scripts --no-audit --no-fund \
        --no-save --no-package-lock "node-linux-$machine@$TOOLS_NODE" "npm@$TOOLS_NPM"
    work "Building the image of tools" docker build --tag "$TOOLS_IMAGE" "$context"
    rm -rf "$context"
    stamp test-tools "$made_from"
}

# setup_for PURPOSE…: all of the above, then the engine where it is asked for.
setup_for() {
    need "$@"
    need_rust
    need_node
    need_wasm_bindgen
    [[ " $* " != *' test '* ]] || need_claude
    if [[ " $* " == *' engine '* ]]; then
        need_engine
        need_base_image
        [[ " $* " != *' test '* ]] || need_tools_image
    fi
}
