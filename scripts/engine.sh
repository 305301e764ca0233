# shellcheck shell=bash
# A running container engine, and the image that our own images start from.

ENGINE_START_SECONDS_MAX=30
PULL_SECONDS_MAX=300
BASE_IMAGE=debian:bookworm-slim
BASE_SUITE=bookworm
DEBIAN_MIRROR=http://deb.debian.org/debian

engine_answers() { timeout 10 docker info >/dev/null 2>&1; }

need_engine() {
    engine_answers && return
    [[ -z ${DOCKER_HOST:-} ]] || die "no engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
    if timeout 10 docker info 2>&1 | grep -qi 'permission denied'; then
        die "an engine runs, but $(id -un) may not use it. Join its group (it can do what root can), then call ./dev again:
    sudo usermod -aG docker $(id -un) && newgrp docker"
    fi
    [[ $(uname -s) == Linux ]] || die "no container engine answers: start Docker Desktop (or colima), then call ./dev again"
    can_be_root || die "no container engine answers, and starting one needs root:
    sudo systemctl start docker"
    # A client may be there alone.
    need daemon
    if [[ -d /run/systemd/system ]]; then
        work "Starting the engine" as_root systemctl start docker
    else
        say "Starting the engine (log: $DEV/log/dockerd.log)"
        # Its own session and no inherited descriptor, so that it outlives this call and holds nothing of it.
        as_root setsid --fork dockerd --log-level=warn >"$DEV/log/dockerd.log" 2>&1 </dev/null
    fi
    local deadline=$((SECONDS + ENGINE_START_SECONDS_MAX))
    until engine_answers; do
        ((SECONDS < deadline)) || die "the engine does not answer after $ENGINE_START_SECONDS_MAX s:
$(tail -n 20 "$DEV/log/dockerd.log" 2>/dev/null || journalctl -u docker -n 20 --no-pager)"
        sleep 0.2
    done
}

need_base_image() {
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && return
    say "Fetching $BASE_IMAGE"
    timeout "$PULL_SECONDS_MAX" docker pull --quiet "$BASE_IMAGE" >"$DEV/log/pull.log" 2>&1 && return
    { [[ $(system) == debian ]] && can_be_root; } || die "$BASE_IMAGE cannot be fetched:
$(tail -n 3 "$DEV/log/pull.log")
  Give the engine access to a registry, or load the image from another machine:
    docker save $BASE_IMAGE | ssh THIS-MACHINE docker load"
    need base
    work "$BASE_IMAGE cannot be fetched: building the same name with debootstrap" build_base_image
}

# The mirror that this machine's apt uses for the same suite.
mirror() {
    local found
    # shellcheck disable=SC2016 # apt's own words
    found=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        awk -v suite="$BASE_SUITE" '$1 == suite && $2 == "main" && $3 ~ /\/debian\/?$/ { print $3; exit }')
    echo "${found:-$DEBIAN_MIRROR}"
}

build_base_image() {
    local root status=0
    root=$(as_root mktemp -d /var/tmp/berth-base.XXXXXX) || return
    as_root debootstrap --variant=minbase "$BASE_SUITE" "$root" "$(mirror)" &&
        as_root sh -euc "$SLIM" slim "$root" &&
        as_root tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$BASE_IMAGE" || status=$?
    as_root rm -rf --one-file-system "$root"
    return "$status"
}

# What an image needs neither as its own nor as a base.
# shellcheck disable=SC2016 # for the shell that runs it
SLIM='
cd "$1"
rm -rf var/cache/apt/archives/*.deb var/cache/apt/*.bin var/lib/apt/lists/* var/log/*.log
rm -rf usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/*
cat >etc/apt/apt.conf.d/90-slim <<CONF
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "false";
CONF
'
