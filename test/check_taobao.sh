#!/bin/bash
# Runs test/demo/taobao.sh over a small generated folder in the layout of the real
# one, with the quirks of CSV files, and compares what it drew with the clicks that
# the folder was made from.  Each fact is one case.
# usage: test/with_server.sh test/check_taobao.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0
failed=0

run_sql() {
	psql -X -q -At -v ON_ERROR_STOP=1
}

# count WHAT COMMAND...: the command's success is the case's.
count() {
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not so: $what"
	fi
}

# fact WHAT: does the query on standard input say true?
fact() {
	local answer
	answer=$(run_sql 2>&1) || true
	count "$1" [ "$answer" = t ]
	[ "$answer" = t ] || head -n 5 <<<"$answer"
}

# What all variants of the folder are made from: clicks as "user theme item", some of
# them several times, and embeddings as "id numbers".
#
# Theme 7 has 40 items, and theme 100 twelve, ten of them shared; user 3 clicked all
# that theme 100 has, user 4 most of it.  Theme 20 has four clicks.  By number themes
# 7, 20, 100 are the first three, by letter 100, 1000, 20.  Users 11 and 12 and items
# 5 and 33 have no embedding; user 998 and item 999 have one and no click.
make_facts() {
	awk 'BEGIN { for (u = 1; u <= 60; u++) {
			for (i = 1; i <= 40; i++) if ((u * 7 + i * 13) % 23 < 2) {
				print u, 7, i
				if (i % 3 == 0) print u, 7, i
			}
			for (i = 31; i <= 42; i++) if (u == 3 || u == 4 && i > 34 || (u + i) % 5 == 0) print u, 100, i
			print u, 1000, 60 + u % 10
		}
		print 1, 20, 50; print 2, 20, 50; print 2, 20, 51; print 11, 20, 52; print 12, 20, 53; print 8, 20, 51; print 8, 20, 51 }' \
		>"$folder/clicks"
	numbers 17 60 "11 12" 998 >"$folder/users"
	numbers 13 70 "5 33" 999 >"$folder/items"
}

# numbers MODULUS LAST WITHOUT MORE: number d of embedding i is (i * d % MODULUS) / 16 - 0.5.
numbers() {
	awk -v modulus="$1" -v last="$2" -v without=" $3 " -v more="$4" 'BEGIN {
		for (i = 1; i <= last + 1; i++) if (index(without, " " i " ") == 0) {
			id = i > last ? more : i
			printf "%d", id
			for (d = 1; d <= 128; d++) printf " %.4f", (id * d % modulus) / 16 - 0.5
			print ""
		} }'
}

# As some program on Windows writes it: byte order marks, CRLF, every field in
# quotes, headers, fields with commas, quotes and line ends.
make_windows() {
	mkdir "$folder/windows"
	awk 'BEGIN { printf "\357\273\277\"User_ID\",\"theme_id\",\"item_id\",\"leaf, \"\"cate\"\"\",\"reach_time\"\r\n" }
		{ printf "\"%d\",\"%d\",\"%d\",\"a, \"\"b\"\"\",\"2018-09-01\r\n12:00\"\r\n", $1, $2, $3 }' \
		"$folder/clicks" >"$folder/windows/theme_click_log.csv"
	for whose in user item; do
		awk -v whose="$whose" 'BEGIN { printf "\357\273\277\"%s_id\",\"%s_embedding\"\r\n", whose, whose }
			{ id = $1; sub(/^[0-9]+ /, ""); printf "\"%s\",\"%s\"\r\n", id, $0 }' \
			"$folder/${whose}s" >"$folder/windows/${whose}_embedding.csv"
	done
}

# The same in plainer lines, other columns, another order; no headers, packed files,
# and blanks where they do no harm.  A user's first line is one that does not count.
make_plain() {
	mkdir "$folder/plain"
	sort -k3,3n -k1,1nr "$folder/clicks" |
		awk 'BEGIN { print ",item_id,cate,theme_id,user_id" } { printf "%d,%d,,%d, %d\n", NR, $3, $2, $1 }' \
			>"$folder/plain/theme_click_log.csv"
	{
		awk 'NR == 1 { printf "1,\"%s\"\n", $2 }' "$folder/users"
		tac "$folder/users" | awk '{ id = $1; sub(/^[0-9]+ /, ""); printf "%s,\"%s\"\n", id, $0 }'
	} | gzip >"$folder/plain/user_embedding.csv.gz"
	awk 'NR == 1 { printf "\357\273\277" } { id = $1; sub(/^[0-9]+ /, ""); gsub(/ /, "  "); printf "%s, \"%s \"\n", id, $0 }' \
		"$folder/items" >"$folder/plain/item_embedding.csv"
}

# run VARIANT [NAME=value]...: its output goes to file output.
run() {
	local variant=$1
	shift
	env THEMES=3 OPTIONS='{"epochs": 2, "hidden": [16]}' "$@" DATA="$folder/$variant" "$here/demo/taobao.sh" >"$folder/output" 2>&1
}

says() {
	grep -Eq -- "$1" "$folder/output" || { tail -n 5 "$folder/output"; false; }
}

# refuses VARIANT MESSAGE [NAME=value]...
refuses() {
	local variant=$1 message=$2
	shift 2
	if run "$variant" "$@"; then
		echo "$variant: no error"
		false
	else
		says "$message"
	fi
}

# The table with the embeddings, whatever order the rows lie in.
digest() {
	run_sql <<<"SELECT md5(string_agg(i::text, E'\n' ORDER BY theme, user_id, item_id)) FROM taobao.interactions AS i"
}

# What was put into the files, for the facts: clicks that count in schema given.
load_facts() {
	run_sql <<-END
		CREATE SCHEMA given;
		CREATE TABLE given.line (user_id int, theme int, item_id int);
		\\copy given.line FROM '$folder/clicks' (DELIMITER ' ')
		CREATE VIEW given.click AS
		SELECT DISTINCT theme, user_id, item_id FROM given.line
		WHERE theme IN (7, 20, 100) AND user_id NOT IN (11, 12) AND item_id NOT IN (5, 33);
	END
}

# The tables drawn, in numbers, kept in schema given for later comparison.
keep_drawn() {
	run_sql <<-'END'
		CREATE TABLE given.drawn AS
		SELECT theme::int, user_id::int, item_id::int, moemlora_label = 1 AS clicked, moemlora_split AS part FROM taobao.labelled;
		CREATE TABLE given.q AS SELECT theme::int, q FROM taobao.themes;
	END
}

check_clicks() {
	fact "positives are the clicks of the first themes that have embeddings, each once" <<-'END'
		SELECT NOT EXISTS (TABLE given.click EXCEPT ALL SELECT theme, user_id, item_id FROM given.drawn WHERE clicked)
		   AND NOT EXISTS (SELECT theme, user_id, item_id FROM given.drawn WHERE clicked EXCEPT ALL TABLE given.click)
	END
	fact "each row has its user's and its item's embedding" <<-'END'
		SELECT bool_and(cardinality(user_vector) = 128 AND cardinality(item_vector) = 128
			AND user_vector = ARRAY(SELECT ((user_id::int * d % 17) / 16.0 - 0.5)::real FROM generate_series(1, 128) AS d ORDER BY d)
			AND item_vector = ARRAY(SELECT ((item_id::int * d % 13) / 16.0 - 0.5)::real FROM generate_series(1, 128) AS d ORDER BY d))
		   AND count(*) = (SELECT count(*) FROM given.drawn)
		FROM taobao.interactions
	END
	fact "users and items are those of the clicks" <<-'END'
		SELECT (SELECT array_agg(user_id::int ORDER BY user_id::int) FROM taobao.users) = (SELECT array_agg(DISTINCT user_id) FROM given.click)
		   AND (SELECT array_agg(item_id::int ORDER BY item_id::int) FROM taobao.items) = (SELECT array_agg(DISTINCT item_id) FROM given.click)
	END
	count "clicks left out are counted" says "^$(run_sql <<-'END'
		SELECT format('%s of %s clicks are of users or items without an embedding and left out',
					  count(*) FILTER (WHERE user_id IN (11, 12) OR item_id IN (5, 33)), count(*)) FROM given.line
	END
	)"
}

check_negatives() {
	fact "negatives of each user: floor(clicks / q), or all that are left" <<-'END'
		SELECT bool_and(negatives = least(floor(clicks / q), items - clicks))
		   AND bool_or(negatives < floor(clicks / q)) AND bool_or(negatives = floor(clicks / q))
		FROM (SELECT theme, user_id, count(*) FILTER (WHERE clicked) AS clicks, count(*) FILTER (WHERE NOT clicked) AS negatives
			  FROM given.drawn GROUP BY theme, user_id) AS u
		JOIN given.q USING (theme)
		JOIN (SELECT theme, count(DISTINCT item_id) AS items FROM given.click GROUP BY theme) AS i USING (theme)
	END
	fact "a user who clicked everything of a theme has no negatives there, but elsewhere" <<-'END'
		SELECT array_agg(DISTINCT theme) FILTER (WHERE NOT clicked) = '{7}' AND count(*) FILTER (WHERE theme = 100) = 11
		FROM given.drawn WHERE user_id = 3
	END
	fact "no negative was clicked by that user in that theme, and none is there twice" <<-'END'
		SELECT count(*) = count(DISTINCT (theme, user_id, item_id)) AND count(*) > 0
		   AND NOT bool_or((theme, user_id, item_id) IN (SELECT theme, user_id, item_id FROM given.line))
		FROM given.drawn WHERE NOT clicked
	END
	fact "a negative may have been clicked by that user in another theme" <<-'END'
		SELECT count(*) > 0 FROM given.drawn AS n JOIN given.line AS c USING (user_id, item_id) WHERE NOT n.clicked
	END
	fact "negatives are items of the theme, of users of the theme" <<-'END'
		SELECT bool_and((theme, item_id) IN (SELECT theme, item_id FROM given.click) AND (theme, user_id) IN (SELECT theme, user_id FROM given.click))
		FROM given.drawn WHERE NOT clicked
	END
	fact "each item of a theme is drawn about as often as it can be" <<-'END'
		SELECT min(share) > 0.5 * avg(share) AND max(share) < 1.5 * avg(share) AND count(*) = 38
		FROM (SELECT item_id, count(*)::real / (SELECT count(DISTINCT u.user_id) FROM given.click AS u WHERE u.theme = 7 AND NOT EXISTS
				(SELECT FROM given.click AS c WHERE (c.theme, c.user_id, c.item_id) = (7, u.user_id, d.item_id))) AS share
			  FROM given.drawn AS d WHERE theme = 7 AND NOT clicked GROUP BY item_id) AS s
	END
	fact "so is each pair of items" <<-'END'
		SELECT max(users) < 2.2 * avg(users) AND count(*) = 38 * 37 / 2
		FROM (SELECT count(*) AS users FROM given.drawn AS a JOIN given.drawn AS b USING (theme, user_id)
			  WHERE theme = 7 AND NOT a.clicked AND NOT b.clicked AND a.item_id < b.item_id GROUP BY a.item_id, b.item_id) AS pair
	END
	fact "q is of 0.2 to 0.5, another for each theme" <<-'END'
		SELECT bool_and(q BETWEEN 0.2 AND 0.5) AND count(DISTINCT q) = 3 AND array_agg(theme ORDER BY theme) = '{7,20,100}' FROM given.q
	END
}

check_parts() {
	fact "60 % train, 20 % validate, 20 % test: of each theme's clicks and of its negatives" <<-'END'
		SELECT bool_and(abs(train - 0.6 * n) < 2 AND abs(valid - 0.2 * n) < 1 AND abs(test - 0.2 * n) < 1 AND train + valid + test = n)
		   AND count(*) = 6
		FROM (SELECT count(*) AS n, count(*) FILTER (WHERE part = 'train') AS train,
					 count(*) FILTER (WHERE part = 'valid') AS valid, count(*) FILTER (WHERE part = 'test') AS test
			  FROM given.drawn GROUP BY theme, clicked) AS p
	END
	fact "parts are mixed: those of many users have rows in each" <<-'END'
		SELECT count(*) FILTER (WHERE parts = 3) > 0.8 * count(*)
		FROM (SELECT user_id, count(DISTINCT part) AS parts FROM given.drawn WHERE theme = 7 GROUP BY user_id) AS u
	END
}

check_training() {
	fact "the model has the vectors as they are, beside the ids" <<-'END'
		SELECT string_agg(format('%s %s', f.name, f.kind), ', ' ORDER BY position) = 'user_id categorical, item_id categorical, user_vector vector, item_vector vector'
		   AND bool_and(f.kind <> 'vector' OR size = 128 AND v.spec #>> ARRAY['options', 'columns', f.name, 'projection'] = 'false')
		FROM moemlora.model AS m JOIN moemlora.version AS v ON v.model_id = m.id JOIN moemlora.feature AS f ON f.version_id = v.id
		WHERE m.name = 'taobao by theme'
	END
	count "themes are told" says '^The first 3 of 4 themes by theme_id\.$'
	count "the table has the three modes" says '^ +theme +\| test rows \| positives \| backbone \| own expert \|  gate *$'
	count "themes are in order" [ "$(sed -n '/^AUC/,$s/^ \([0-9]*\)  *|.*/\1/p' "$folder/output" | tr '\n' ' ')" = '7 20 100 ' ]
	count "a theme without a negative to test has no AUC, but a line" says '^ 20 +\| +1 \| +1 \|( +- \|){2} +-$'
	count "a theme's line has three figures" says '^ 7 +\|( +[0-9]+ \|){2}( +0\.[0-9]{4} \|){2} +0\.[0-9]{4}$'
	count "so has the mean" says '^ WAUC +\|( +[0-9]+ \|){2}( +0\.[0-9]{4} \|){2} +0\.[0-9]{4}$'
}

# The run before was of the same seed, the one now of another.
check_other_seed() {
	fact "another seed draws other q, other negatives, other parts" <<-'END'
		SELECT NOT EXISTS (SELECT FROM taobao.themes AS t JOIN given.q ON q.theme = t.theme::int WHERE q.q = t.q)
		   AND (SELECT count(*) FROM taobao.labelled WHERE moemlora_label = 0
				AND (theme::int, user_id::int, item_id::int) NOT IN (SELECT theme, user_id, item_id FROM given.drawn)) > 100
		   AND (SELECT count(*) FROM taobao.labelled AS l JOIN given.drawn AS d
				ON (d.theme, d.user_id, d.item_id) = (l.theme::int, l.user_id::int, l.item_id::int) WHERE d.part <> l.moemlora_split) > 100
	END
}

# Folders with one thing wrong.
check_refusals() {
	local file
	for file in short word; do
		cp -R "$folder/windows" "$folder/$file"
	done
	sed -i 's/^"7","[^ ]* /"7","/' "$folder/short/user_embedding.csv"
	sed -i 's/^"40","[^ ]* /"40","many /' "$folder/word/item_embedding.csv"
	count "an embedding of 127 numbers is refused" \
		refuses short 'ERROR: .*/short/user_embedding\.csv: the embedding of 7 has 127 numbers, not 128$'
	count "one with a word in it is refused" \
		refuses word 'ERROR: .*/word/item_embedding\.csv: the embedding of 40: .*"many"$'
	cp -R "$folder/plain" "$folder/column"
	sed -i '1s/theme_id/theme/' "$folder/column/theme_click_log.csv"
	count "a log without theme_id is refused" refuses column '^taobao: .*/theme_click_log\.csv has no column theme_id$'
	rm "$folder/column/item_embedding.csv"
	count "a folder without a file is refused" refuses column '^taobao: .*/column has no item_embedding\.csv$'
	count "THEMES must be a number" refuses plain '^taobao: THEMES is a number of themes, not ten$' THEMES=ten
}

make_facts
make_windows
make_plain
load_facts
count "it runs on files from Windows" run windows || cat "$folder/output"
keep_drawn
first=$(digest)
check_clicks
check_negatives
check_parts
check_training
count "it runs on plain files, by another method" run plain METHOD=backbone
count "the same seed gives the same table, whatever the files look like" [ "$(digest)" = "$first" ]
count "it runs with another seed" run plain METHOD=backbone SEED=43
count "another seed gives another table" [ "$(digest)" != "$first" ]
check_other_seed
check_refusals
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
