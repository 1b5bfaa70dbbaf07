#!/bin/sh
# Makes sure that what building and testing needs is there.  On Debian and
# Ubuntu missing packages are installed (as root, or through sudo); elsewhere,
# or without those rights, it says what is missing and stops.
# usage: setup.sh        (PG_CONFIG chooses the PostgreSQL version)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}

has() {
	command -v "$1" >/dev/null 2>&1
}

# The PostgreSQL major version to use: that of PG_CONFIG, else the newest
# server installed, else empty: the newest that there is.
pg_version() {
	if has "$PG_CONFIG"; then
		"$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
		return
	fi
	case $PG_CONFIG in
		*/postgresql/[0-9][0-9]/bin/pg_config) basename "${PG_CONFIG%/bin/pg_config}" ;;
		*) find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sed 's|.*/\([0-9]*\)/bin/postgres|\1|' |
			sort -n | tail -n 1 ;;
	esac
}

has_sanitizers() {
	has cc && echo 'int main(void) { return 0; }' |
		cc -fsanitize=address,undefined -x c -o /dev/null - 2>/dev/null
}

# Debian's server has pg_config and the makefiles for extensions, but no headers.
has_server_headers() {
	[ -e "$("$PG_CONFIG" --pgxs 2>/dev/null)" ] && [ -e "$("$PG_CONFIG" --includedir-server 2>/dev/null)/postgres.h" ]
}

# Debian's packages of what is missing here.
missing_packages() {
	version=$(pg_version)
	has_sanitizers || echo gcc libc6-dev
	has make || echo make
	has pkg-config || echo pkg-config
	{ has pkg-config && pkg-config --exists openblas; } || echo libopenblas-serial-dev
	{ has prove && perl -MIPC::Run -e 1 2>/dev/null; } || echo libipc-run-perl
	has_server_headers || echo "postgresql-server-dev-${version:-NN}"
	[ -x "$("$PG_CONFIG" --bindir 2>/dev/null)/initdb" ] || echo "postgresql-${version:-NN}"
}

# Why this script ends without having done its work.
give_up() {
	echo "setup: $1" >&2
	exit 1
}

packages=$(missing_packages | tr '\n' ' ')
[ -n "$packages" ] || exit 0

has apt-get || give_up "missing is what Debian has in the packages: $packages"
# shellcheck disable=SC2086 # a list of words
if [ "$(id -u)" -eq 0 ]; then
	"$here/install_packages.sh" $packages
elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
	sudo "$here/install_packages.sh" $packages
else
	case $packages in
		*-NN*) note='
(NN is the newest version of PostgreSQL that your system offers)' ;;
	esac
	give_up "packages are missing and you are not root. Install them with
    apt-get install --no-install-recommends $packages${note:-}"
fi

packages=$(missing_packages | tr '\n' ' ')
[ -z "$packages" ] || give_up "still missing after installation: $packages"
