#!/bin/bash
# Runs test/demo/movielens.sh over small generated files in the two layouts that
# it reads, with the quirks of the real ones.  Each layout is one case.
# usage: test/with_server.sh test/check_movielens.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0
failed=0

# GroupLens's folder: "::" between fields, Latin-1 titles, ratings of 1 to 5 in
# which odd users like odd movies, and no timestamp in some lines.
make_folder() {
	mkdir "$folder/ml-1m"
	awk 'BEGIN { for (u = 1; u <= 120; u++) printf "%d::%s::%d::%d::0%04d\n", u, u % 2 ? "F" : "M", u % 3 ? 25 : 35, u % 4, u }' \
		>"$folder/ml-1m/users.dat"
	awk 'BEGIN { for (m = 1; m <= 60; m++) printf "%d::Caf\351 :: number %d (1999)::Drama|Comedy\n", m, m }' \
		>"$folder/ml-1m/movies.dat"
	awk 'BEGIN { for (u = 1; u <= 120; u++) for (m = 1; m <= 60; m++) if ((u * 7 + m * 13) % 3)
		printf "%d::%d::%d%s\n", u, m, (u + m) % 2 ? 1 + (u * m) % 4 : 5, u % 5 ? "::978300760" : "" }' \
		>"$folder/ml-1m/ratings.dat"
}

# An interactions file: packed, quoted fields, an empty domain.
make_file() {
	awk 'BEGIN { print "user_id,item_id,category,title,label"; for (u = 1; u <= 120; u++) for (i = 1; i <= 40; i++)
		printf "%d,%d,%s,\"a, \"\"b\"\"\",%d\n", u, i, (u * i) % 97 ? i % 3 : "", (u + i) % 2 }' |
		gzip >"$folder/interactions.csv.gz"
}

# usage: expect DATA DOMAINS: a table for each domain column, with its WAUC
expect() {
	local output domain
	if output=$(DATA=$folder/$1 DOMAINS=$2 OPTIONS='{"epochs": 2, "hidden": [16]}' "$here/demo/movielens.sh" 2>&1); then
		for domain in $2; do
			if ! grep -q "^Domains by $domain " <<<"$output"; then
				output+=$'\n'"no table for $domain"
				failed=$((failed + 1))
			fi
		done
		if [ "$(grep -c '^ WAUC ' <<<"$output")" -eq "$(wc -w <<<"$2")" ]; then
			passed=$((passed + 1))
			return
		fi
	fi
	printf '%s: no tables\n%s\n' "$1" "$output"
	failed=$((failed + 1))
}

# A comparison prints a line for each run and a table with a column for each method.
expect_comparison() {
	local output
	output=$(DATA=$folder/interactions.csv.gz DOMAINS=category BACKBONES="mlp fibinet" METHODS="backbone mlora" SEEDS="1 2" JOBS=2 \
		OPTIONS='{"epochs": 2, "hidden": [16]}' "$here/demo/movielens.sh" 2>&1) || output+=$'\n'"exit status $?"
	if [ "$(grep -cE '^category, (mlp|fibinet), (backbone|mlora), seed [12]: test WAUC 0\.[0-9]+, ' <<<"$output")" -eq 8 ] &&
		[ "$(grep -cE '^ (mlp|fibinet) +\| +2 \| +0\.[0-9]+ ± 0\.[0-9]+ \| +0\.[0-9]+ ± ' <<<"$output")" -eq 2 ]; then
		passed=$((passed + 1))
		return
	fi
	printf 'comparison: no table\n%s\n' "$output"
	failed=$((failed + 1))
}

make_folder
make_file
expect ml-1m "gender age occupation"
expect interactions.csv.gz category
expect_comparison
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
