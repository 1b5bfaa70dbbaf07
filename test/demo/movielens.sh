#!/bin/bash
# Trains on real ratings, once for each column that splits them into domains, and
# shows per domain what the backbone, the experts and the gate are worth.
# usage: DATA=<path> [NAME=value]... test/with_server.sh test/demo/movielens.sh
#        (or: make movielens DATA=<path> [NAME=value]...)
#
# DATA is one of
#   - a CSV file, plain or .gz, with a header; columns user_id, item_id, label
#     (0 or 1; without it rating = 5 is the label) and the domains' columns;
#   - GroupLens's folder ml-1m: users.dat, movies.dat, ratings.dat.
# Settings, with their defaults:
#   DOMAINS     which columns are domains, one after the other; default: those of
#               gender, age, occupation, category that the data have
#   METHOD      moe_mlora    or mlora, backbone
#   RECIPE      paper        or joint, gated, auto (of method moe_mlora)
#   BACKBONE    wdl
#   SEED        42           of the split into 60 % train, 20 % valid, 20 % test and of training
#   OPTIONS     {}           further options of moemlora_train, as JSON
#   MEMORY      4GB          the most that training may take
#   VERBOSE                  when set: show the training's progress
#   BACKBONES                when set ("wdl dcn", or all): compare these instead, see below
#   METHODS     backbone mlora moe_mlora   what to compare
#   SEEDS       42 43 44     of the comparison's splits and trainings
#   JOBS        1            runs of the comparison at a time
#
# Prints per domain the AUC on the test rows of three modes: backbone, own expert
# and gate.  Where the backbone was trained together with experts its column says
# "without experts".  Features are user_id and item_id only.  A user's ratings of
# one item always fall into the same part.
#
# A comparison trains each of BACKBONES by each of METHODS with each of SEEDS (of
# moe_mlora recipe auto, unless RECIPE says another) and prints mean and standard
# deviation of the WAUC on the test rows, as the model is served.
#
# Works in the database that PGHOST, PGPORT, PGUSER and PGDATABASE name, where it
# drops and makes schema movielens and models "movielens by <domain>".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
BACKBONES=${BACKBONES:-} METHODS=${METHODS:-backbone mlora moe_mlora} SEEDS=${SEEDS:-42 43 44} JOBS=${JOBS:-1}
[ "$BACKBONES" != all ] || BACKBONES="mlp wdl deepfm nfm pnn dcn autoint xdeepfm fibinet"
[ -z "$BACKBONES" ] || RECIPE=${RECIPE:-auto}
schema=movielens
# shellcheck source=test/demo/domains.sh
. "$here/domains.sh"
DOMAINS=${DOMAINS:-}

# Are the columns there?  Fills in DOMAINS where the caller leaves the choice to us.
check_columns() {
	local column
	for column in user_id item_id $DOMAINS; do
		has_column "$column" || die "$DATA has no column $column"
	done
	has_column label || has_column rating || die "$DATA has neither a column label nor a column rating"
	[ -z "$DOMAINS" ] || return 0
	for column in gender age occupation category; do
		! has_column "$column" || DOMAINS+=" $column"
	done
	[ -n "$DOMAINS" ] || die "$DATA has none of the columns gender, age, occupation, category: say DOMAINS=<column>"
}

load_csv() {
	make_raw "$1"
	check_columns
	fill_raw "$1"
}

# GroupLens's files: fields between "::", names of films in Latin-1.  Lines are
# read whole, since COPY knows only delimiters of one character.
load_dat() {
	local file
	for file in users movies ratings; do
		[ -f "$1/$file.dat" ] || die "$1 has no $file.dat"
		run_sql -c "CREATE TABLE movielens.${file}_line (line text)"
		run_sql -c "COPY movielens.${file}_line FROM STDIN (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02', ENCODING 'LATIN1')" <"$1/$file.dat"
	done
	run_sql -f "$here/movielens_dat.sql"
	check_columns
}

[ -n "${DATA:-}" ] || die "set DATA to an interactions file or an ml-1m folder"
make_schema
if [ -d "$DATA" ]; then
	load_dat "$DATA"
elif [ -f "$DATA" ]; then
	load_csv "$DATA"
else
	die "$DATA is neither a file nor a folder"
fi

label="(rating::real = 5)::int"
! has_column label || label="label"
run_sql -v label="$label" -v seed="$SEED" -f "$here/movielens_split.sql"
show_rows

# One run for each backbone, method and seed, JOBS at a time.
compare() {
	local backbone method seed
	for seed in $SEEDS; do
		for backbone in $BACKBONES; do
			for method in $METHODS; do
				printf '%s\0' "$backbone" "$method" "$seed"
			done
		done
	done | PGOPTIONS="-c client_min_messages=warning -c moemlora.training_memory=$MEMORY" xargs -0 -r -n 3 -P "$JOBS" bash -c \
		'psql -X -q -v ON_ERROR_STOP=1 -v domain="$1" -v recipe="$2" -v options="$3" -v backbone="$5" -v method="$6" -v seed="$7" -f "$4" || exit 255' \
		compare "$1" "$RECIPE" "$OPTIONS" "$here/compare_run.sql"
	run_sql -v domain="$1" -f "$here/compare_report.sql"
}

if [ -n "$BACKBONES" ]; then
	run_sql -f "$here/compare_prepare.sql"
	for domain in $DOMAINS; do
		compare "$domain"
	done
	exit
fi

for domain in $DOMAINS; do
	train_by "$domain" '{user_id, item_id}' '{}'
done
