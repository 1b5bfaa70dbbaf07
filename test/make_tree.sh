#!/bin/bash
# Builds the extension and installs it into a private copy of the PostgreSQL
# installation, so that nothing is ever written into the system's.
# usage: make_tree.sh DIRECTORY        (PG_CONFIG chooses the PostgreSQL)
#
# PostgreSQL's programs find their other files relative to their own place, by
# the layout they were configured with.  The copy keeps that layout below
# DIRECTORY: programs copied, everything else linked.  Then DIRECTORY is an
# ordinary DESTDIR.
set -eu
umask 022
cd "$(dirname "$0")/.."
tree=$1
PG_CONFIG=${PG_CONFIG:-pg_config}

bindir=$("$PG_CONFIG" --bindir)
sharedir=$("$PG_CONFIG" --sharedir)
pkglibdir=$("$PG_CONFIG" --pkglibdir)

mkdir -p "$tree$bindir" "$tree$sharedir" "$tree$pkglibdir"
for program in "$bindir"/pg_* "$bindir"/{initdb,postgres,psql,pgbench,createdb,dropdb,createuser,dropuser,vacuumdb}; do
	[ ! -f "$program" ] || cp -L "$program" "$tree$bindir"
done
cp -Rs "$sharedir/." "$tree$sharedir"
cp -Rs "$pkglibdir/." "$tree$pkglibdir"

# The system may have some version of the extension: through a link it would be overwritten.
rm -f "$tree$sharedir"/extension/moemlora* "$tree$pkglibdir"/moemlora*
"${MAKE:-make}" --no-print-directory -s -j"$(nproc)" all
"${MAKE:-make}" --no-print-directory -s install DESTDIR="$tree" >"$tree/install.log" 2>&1 || {
	cat "$tree/install.log" >&2
	exit 1
}
