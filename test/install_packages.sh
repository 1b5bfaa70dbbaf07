#!/bin/sh
# Installs Debian packages, as root; NN in a name stands for the newest version
# of PostgreSQL that we support and that the system offers.  A name that ends in
# "?" is left out where the system does not offer it.
# usage: install_packages.sh PACKAGE[?]...
#
# A PostgreSQL server package makes and starts a cluster "main" when it is first
# installed.  Nobody asked us for a server, so a setting of our own forbids that
# for as long as this script runs; clusters that exist are not touched.
set -euf

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
supported='18 17 16 15 14'
settings=/etc/postgresql-common/createcluster.d
setting=$settings/zz-moemlora-setup.conf

newest_version() {
	for version in $supported; do
		if [ -n "$(apt-cache show "postgresql-server-dev-$version" 2>/dev/null)" ]; then
			echo "$version"
			return
		fi
	done
	echo "install_packages: no supported version of PostgreSQL ($supported) in the package lists" >&2
	return 1
}

offered() {
	for package in "$@"; do
		case $package in
			*\?) [ -z "$(apt-cache show "${package%\?}" 2>/dev/null)" ] || echo "${package%\?}" ;;
			*) echo "$package" ;;
		esac
	done
}

forbid_cluster() {
	[ -d "$settings" ] || made_directory=yes
	mkdir -p "$settings"
	echo 'create_main_cluster = false' >"$setting"
}

restore_settings() {
	rm -f "$setting"
	[ -z "${made_directory:-}" ] || rmdir "$settings" "${settings%/*}" 2>/dev/null || true
}

apt-get update -qq || echo 'install_packages: going on with the package lists that are there' >&2
packages=$*
case $packages in
	*-NN*) packages=$(newest=$(newest_version) && echo "$packages" | sed "s/-NN/-$newest/g") ;;
esac
# shellcheck disable=SC2086 # a list of words
packages=$(offered $packages)

trap restore_settings EXIT
trap 'exit 1' HUP INT TERM
forbid_cluster
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $packages
