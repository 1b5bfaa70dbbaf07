# Sourced by movielens.sh and taobao.sh: settings that both have, CSV files into
# the database, training with a column as domain.  The caller sets here (this
# folder) and schema: it holds the tables, and names models and messages.
# shellcheck shell=bash disable=SC2154
METHOD=${METHOD:-moe_mlora} RECIPE=${RECIPE:-paper} BACKBONE=${BACKBONE:-wdl} SEED=${SEED:-42} OPTIONS=${OPTIONS:-'{}'} MEMORY=${MEMORY:-4GB}

die() {
	echo "$schema: $1" >&2
	exit 1
}

run_sql() {
	psql -X -q -v ON_ERROR_STOP=1 "$@"
}

unpacked() {
	case $1 in
		*.gz) gzip -dc -- "$1" ;;
		*) cat -- "$1" ;;
	esac
}

# A filter: some programs put a byte order mark before the first line.
without_bom() {
	LC_ALL=C sed $'1s/^\xef\xbb\xbf//'
}

make_schema() {
	run_sql -c "SET client_min_messages = warning" -c "CREATE EXTENSION IF NOT EXISTS moemlora" \
		-c "DROP SCHEMA IF EXISTS $schema CASCADE" -c "CREATE SCHEMA $schema"
}

# make_raw FILE: an empty table raw with the columns of a file's header, as text in lower case.
make_raw() {
	local header
	header=$(unpacked "$1" | without_bom | sed -n 1p)
	run_sql -v schema="$schema" -v header="${header%$'\r'}" -f "$here/domains_raw.sql"
}

fill_raw() {
	unpacked "$1" | run_sql -c "COPY $schema.raw FROM STDIN (FORMAT csv, HEADER)"
}

# Has table raw this column?
has_column() {
	[ -n "$(run_sql -At -v raw="$schema.raw" -v name="$1" <<<"SELECT 1 FROM pg_attribute WHERE attrelid = :'raw'::regclass AND attname = :'name'")" ]
}

show_rows() {
	run_sql -v schema="$schema" -f "$here/domains_rows.sql"
}

# train_by DOMAIN FEATURES OPTIONS: trains on table interactions and shows the
# result.  OPTIONS are those that the data need; the caller's come after them.
train_by() {
	local notices=warning
	[ -z "${VERBOSE:-}" ] || notices=notice
	PGOPTIONS="-c client_min_messages=$notices -c moemlora.training_memory=$MEMORY" run_sql -v schema="$schema" \
		-v domain="$1" -v features="$2" -v method="$METHOD" -v recipe="$RECIPE" -v backbone="$BACKBONE" -v seed="$SEED" \
		-v data_options="$3" -v options="$OPTIONS" -f "$here/domains_train.sql" 2>&1 |
		sed 's/^psql:.*: NOTICE: */    /'
}
