#!/bin/bash
# Trains on clicks in Taobao's themes, one domain each, and shows per theme what
# the backbone, the experts and the gate are worth.
# usage: DATA=<folder> [NAME=value]... test/with_server.sh test/demo/taobao.sh
#        (or: make taobao DATA=<folder> [NAME=value]...)
#
# DATA is the folder of Tianchi's download "Theme click" (data set 9716), which
# may not be handed on; each file plain or .gz:
#   theme_click_log.csv     a header; columns user_id, item_id, theme_id, and others
#   user_embedding.csv      with a header or without: the user's id, and 128 numbers
#   item_embedding.csv      with spaces between them as one field
# Settings, with their defaults:
#   THEMES      10           how many themes (in the papers 10, 20 and 30): the first by theme_id
#   METHOD      moe_mlora    or mlora, backbone
#   RECIPE      paper        or joint, gated, auto (of method moe_mlora)
#   BACKBONE    wdl
#   SEED        42           of the negatives, of the split and of training
#   OPTIONS     {}           further options of moemlora_train, as JSON
#   MEMORY      4GB          the most that training may take
#   VERBOSE                  when set: show the training's progress
#
# The log has clicks only.  Of these stay the ones whose user and item have an
# embedding, each once.  A theme's items are those that somebody clicked in it, and
# its users those who clicked there.  Each theme draws a q of 0.2 to 0.5, and each
# of its users gets floor(clicks / q) items of the theme without a click of theirs
# as negatives, or as many as there are.  Of each theme's clicks, and of its
# negatives, 60 % train, 20 % validate and 20 % test.
#
# Prints the themes, and per theme the AUC on the test rows of three modes: backbone,
# own expert and gate.  Features are user_id, item_id and their embeddings, which
# stay as they are: option embedding_dim is their length, 128.
#
# Works in the database that PGHOST, PGPORT, PGUSER and PGDATABASE name, where it
# drops and makes schema taobao and model "taobao by theme".
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
schema=taobao
# shellcheck source=test/demo/domains.sh
. "$here/domains.sh"
THEMES=${THEMES:-10}

# The file of that name in DATA.
find_file() {
	local file
	for file in "$DATA/$1.csv" "$DATA/$1.csv.gz"; do
		if [ -f "$file" ]; then
			echo "$file"
			return
		fi
	done
	die "$DATA has no $1.csv"
}

load_log() {
	local column
	make_raw "$1"
	for column in user_id item_id theme_id; do
		has_column "$column" || die "$1 has no column $column"
	done
	fill_raw "$1"
}

# load_embeddings WHOSE FILE: the lines become table <whose>_line.
load_embeddings() {
	run_sql -c "CREATE UNLOGGED TABLE taobao.$1_line (nr bigint GENERATED ALWAYS AS IDENTITY, id text, numbers text)"
	unpacked "$2" | without_bom | run_sql -c "COPY taobao.$1_line (id, numbers) FROM STDIN (FORMAT csv)"
}

[ -n "${DATA:-}" ] || die "set DATA to the folder with theme_click_log.csv"
[ -d "$DATA" ] || die "$DATA is no folder"
[[ $THEMES =~ ^[1-9][0-9]{0,8}$ ]] || die "THEMES is a number of themes, not $THEMES"
log=$(find_file theme_click_log)
users=$(find_file user_embedding)
items=$(find_file item_embedding)

make_schema
load_log "$log"
load_embeddings user "$users"
load_embeddings item "$items"
run_sql -v themes="$THEMES" -v seed="$SEED" -f "$here/taobao_clicks.sql"
run_sql -v whose=user -v file="$users" -f "$here/taobao_vectors.sql"
run_sql -v whose=item -v file="$items" -f "$here/taobao_vectors.sql"
run_sql -f "$here/taobao_draw.sql"
show_rows

vector='{"kind": "vector", "projection": false}'
train_by theme '{user_id, item_id, user_vector, item_vector}' \
	'{"embedding_dim": 128, "columns": {"user_vector": '"$vector"', "item_vector": '"$vector"'}}'
