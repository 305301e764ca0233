# What is tried inside. Before it come `TLS` and `PLAIN`, the addresses of the test's server; behind it, a line for each try.
#
#   try ID TOOL all            with all that Berth sets
#   try ID TOOL NAME…          with those variables of it alone
#   version TOOL
#
# It says `@@ try ID`, what the tool said, and `@@ end ID STATUS`.

# What Berth sets so that programs get out and know whom to trust.
given=$(env | sed -n -E 's/^([A-Za-z_]+)=.*(:7817|proxyPort=7817|\/berth\/authorities).*/\1/p')
given+=" NODE_USE_ENV_PROXY no_proxy NO_PROXY"
folder=$(mktemp -d /tmp/tools.XXXXXX)

try() {
    local id=$1 tool=$2 name kept
    shift 2
    kept=" $* "
    echo "@@ try $id"
    (
        set -eu
        if [[ $kept != ' all ' ]]; then
            for name in $given; do
                [[ $kept == *" $name "* ]] || unset "$name"
            done
        fi
        mkdir "$folder/$id"
        cd "$folder/$id"
        "try_${tool//-/_}"
    ) 2>&1 </dev/null
    echo "@@ end $id $?"
}

version() {
    echo "@@ version $1 $("version_${1//-/_}" 2>/dev/null </dev/null)"
}

# The first number of the words given, or read, with its dots.
number() { grep -o -m1 -E '[0-9]+(\.[0-9]+)+' | head -n1; }

version_curl() { curl --version | number; }
try_curl() { curl --silent --show-error --fail "$TLS/file/curl"; }

version_wget() { wget --version | number; }
try_wget() { wget --tries=1 --no-verbose --output-document=- "$TLS/file/wget"; }

version_git() { git --version | number; }
try_git() {
    git clone --quiet "$TLS/git/sample.git" sample
    cat sample/content
}

apt_from() {
    mkdir -p state/lists/partial cache/archives/partial
    echo "deb [trusted=yes] $1 ./" >sources.list
    local options=(
        -o "Dir::State=$PWD/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$PWD/cache"
        -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Acquire::Retries=0
        -o APT::Update::Error-Mode=any
    )
    apt-get "${options[@]}" update
    apt-get "${options[@]}" download berth-sample
    dpkg-deb --extract berth-sample_*.deb out
    cat out/usr/share/berth-sample/content
}
version_apt() { apt-get --version | number; }
try_apt() { apt_from "$PLAIN/apt"; }
version_apt_https() { version_apt; }
try_apt_https() { apt_from "$TLS/apt"; }

version_pip() { python3 -m pip --version | number; }
try_pip() {
    python3 -m pip --disable-pip-version-check --no-cache-dir --retries 0 install --no-deps --target site \
        --index-url "$TLS/pip/simple" berth-sample
    PYTHONPATH=site python3 -c 'import berth_sample; print(berth_sample.CONTENT)'
}

version_npm() { PATH=/opt/node:$PATH npm --version | number; }
try_npm() {
    PATH=/opt/node:$PATH
    npm install --registry "$TLS/npm/" --cache cache --fetch-retries 0 --no-audit --no-fund --no-update-notifier berth-sample
    node -e 'console.log(require("berth-sample"))'
}

node_fetch() {
    "$1" -e '
        fetch(process.argv[1]).then(async (reply) => {
            if (!reply.ok) throw new Error(`answered ${reply.status}`)
            console.log(await reply.text())
        }).catch((error) => { console.error(error); process.exit(1) })' "$2"
}
version_node_fetch() { /opt/node/node --version | number; }
try_node_fetch() { node_fetch /opt/node/node "$TLS/file/node-fetch"; }
version_node_18_fetch() { /usr/bin/node --version | number; }
try_node_18_fetch() { node_fetch /usr/bin/node "$TLS/file/node-18-fetch"; }

version_cargo() { /opt/cargo/usr/bin/cargo --version | number; }
try_cargo() {
    mkdir src .cargo
    touch src/lib.rs
    printf '[registries.sample]\nindex = "sparse+%s/cargo/"\n' "$TLS" >.cargo/config.toml
    printf '[package]\nname = "wants"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\nberth-sample = { version = "1", registry = "sample" }\n' >Cargo.toml
    CARGO_HOME=$PWD/home CARGO_NET_RETRY=0 /opt/cargo/usr/bin/cargo vendor
    cat vendor/berth-sample/src/lib.rs
}

version_go() { GOTOOLCHAIN=local go version | number; }
try_go() {
    export GOPATH=$PWD/path GOCACHE=$PWD/cache GOPROXY=$TLS/go GOSUMDB=off GOFLAGS=-modcacherw GOTOOLCHAIN=local
    go mod init example.test/wants
    go mod download berth.test/sample@v1.0.0
    cat path/pkg/mod/berth.test/sample@v1.0.0/content
}

python_get() {
    python3 -c '
import importlib, sys
reply = importlib.import_module(sys.argv[1]).get(sys.argv[2])
reply.raise_for_status()
print(reply.text)' "$1" "$2"
}
version_requests() { python3 -c 'import requests; print(requests.__version__)'; }
try_requests() { python_get requests "$TLS/file/requests"; }
version_httpx() { python3 -c 'import httpx; print(httpx.__version__)'; }
try_httpx() { python_get httpx "$TLS/file/httpx"; }

version_java_httpclient() { java -version 2>&1 | grep -v JAVA_TOOL_OPTIONS | number; }
try_java_httpclient() { java -cp /opt/java Get HttpClient "$TLS/file/java-httpclient"; }
version_java_urlconnection() { version_java_httpclient; }
try_java_urlconnection() { java -cp /opt/java Get HttpURLConnection "$TLS/file/java-urlconnection"; }
